from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch

from fewlabel.bundle.verify.pickles import read_saved
from fewlabel.networks import SwinUnet, UNet


def saved(content: Any, **options: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, **options)
    return stream.getvalue()


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("plain", [True, False])
def test_names_and_shapes_are_those_that_torch_reads(protocol: int, plain: bool) -> None:
    for network in (UNet(channels=(4, 4, 4, 4, 4)), SwinUnet(img_size=64, embed_dim=12, window_size=2)):
        state = network.state_dict()  # an OrderedDict with metadata, or a plain dictionary
        found = read_saved(saved(dict(state) if plain else state, pickle_protocol=protocol))
        assert found.tensors == {name: tuple(value.shape) for name, value in state.items()}
        assert (found.kind, found.others, found.code) == ("dict", [], [])


@pytest.mark.parametrize(
    "tensor",
    [torch.zeros(2, 3, dtype=torch.float64), torch.zeros(()), torch.zeros(4, dtype=torch.bool), torch.zeros(3)[1:],
     torch.zeros(2, dtype=torch.bfloat16), torch.nn.Parameter(torch.zeros(5))],
    ids=str,
)  # fmt: skip
def test_every_kind_of_tensor_is_one(tensor: torch.Tensor) -> None:
    found = read_saved(saved({"a": tensor, "b": tensor}))
    assert found.tensors == {"a": tuple(tensor.shape), "b": tuple(tensor.shape)}
    assert not found.code


def test_what_is_no_state_dict_is_told() -> None:
    nested = read_saved(saved({"model": {"a": torch.zeros(1)}, "epoch": 3, 7: torch.zeros(1)}))
    assert nested.others == ["model", "epoch", "7"]
    assert read_saved(saved([torch.zeros(1)])).kind == "list"
    assert read_saved(saved(torch.zeros(1))).kind == "torch._utils _rebuild_tensor_v2"
    assert read_saved(saved(OrderedDict())).tensors == {}


class Malice:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("protocol", [2, 4])
def test_code_in_a_pickle_is_named_and_does_not_run(protocol: int, tmp_path: Path) -> None:
    state = {"a": torch.zeros(1), "b": Malice(tmp_path / "owned")}
    found = read_saved(saved(state, pickle_protocol=protocol))
    assert [code.split()[1] for code in found.code] == ["mkdir"]
    assert found.others == ["b"]
    assert not (tmp_path / "owned").exists()
    torch.load(io.BytesIO(saved(state, pickle_protocol=protocol)), weights_only=False)
    assert (tmp_path / "owned").exists(), "the test's malice would work"


def test_a_whole_network_is_code() -> None:
    found = read_saved(saved(torch.nn.Linear(1, 1)))
    assert found.kind == "torch.nn.modules.linear Linear"
    assert found.kind in found.code


def archive(**files: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as packed:
        for name, content in files.items():
            packed.writestr(f"archive/{name.replace('_', '.')}", content)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not written by torch.save"),
        (pickle.dumps({}), "not written by torch.save"),
        (archive(version=b"3"), "not written by torch.save"),
        (archive(data_pkl=b""), "holds what no state dict needs"),
        (archive(data_pkl=b"\x80\x02."), "holds what no state dict needs"),
        (archive(data_pkl=b"\x80\x02h\x07."), "holds what no state dict needs"),
        (archive(data_pkl=b"\x80\x02t."), "holds what no state dict needs"),
        (archive(data_pkl=pickle.dumps({1, 2})), "holds what no state dict needs"),
        (
            archive(data_pkl=b"(ios\nsystem\n."),
            r"unpickling would call os\.system; holds what no state dict needs",
        ),
        (archive(data_pkl=b"cos\nsystem\n(o."), r"unpickling would call os\.system; holds what no state dict"),
        (archive(data_pkl=b"0" * (17 * 2**20)), "larger than that of any network"),
    ],
    ids=range(11),
)
def test_what_torch_never_wrote_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_saved(content)
