from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.transforms import Compose, RandFlipd, ScaleIntensityd
from torch import nn

from fewlabel.data.streams.flat_settings import flat_settings
from helpers.paths import ROOT, environment


class Holder:
    def __init__(self, **parts: Any) -> None:
        vars(self).update(parts)


def scaled(factor: float) -> Any:
    def scale(value: float) -> float:
        return factor * value

    return scale


@pytest.mark.parametrize(
    ("one", "other", "name"),
    [
        (nn.Sequential(nn.Dropout(0.1)), nn.Sequential(nn.Dropout(0.2)), "it.0.p"),
        (Compose([RandFlipd("image", 0.5)]), Compose([RandFlipd("image", 0.1)]), "it.transforms.0.prob"),
        (functools.partial(int, base=8), functools.partial(int, base=9), "it.base"),
        (scaled(1.0), scaled(2.0), "it.factor"),
        (Holder(names={"a", "b"}), Holder(names={"a", "c"}), "it.names"),
        (Holder(window=np.zeros(2)), Holder(window=np.ones(2)), "it.window"),
        (eval("lambda x: x + 1"), eval("lambda x: x - 1"), "it.code"),
        (nn.ReLU(), nn.GELU(), "it"),
    ],
)
def test_a_setting_that_differs_is_found_under_its_name(one: Any, other: Any, name: str) -> None:
    first, second = flat_settings(one, "it"), flat_settings(other, "it")
    assert first[name] != second[name]
    assert first == flat_settings(one, "it")


def test_weights_random_states_and_devices_are_no_settings() -> None:
    one, other = (
        Holder(network=nn.Linear(2, 2), generator=torch.Generator().manual_seed(seed), device=torch.device(device))
        for seed, device in ((0, "cpu"), (1, "cuda"))
    )
    assert flat_settings(one, "it") == flat_settings(other, "it")


def test_an_object_in_a_circle_and_one_that_two_hold_are_described_once() -> None:
    shared = nn.Dropout(0.5)
    holder = Holder(first=shared, second=shared)
    holder.itself = holder
    assert [name for name in flat_settings(holder, "it") if name.endswith(".p")] == ["it.first.p"]


def test_names_that_are_left_out_are_left_out_wherever_they_are() -> None:
    value = {"path": 1, "inner": Holder(path=2, size=3)}
    assert flat_settings(value, "it", {"path"}) == {"it.inner": "Holder", "it.inner.size": "3"}


def test_a_transform_is_described_alike_before_and_after_it_was_used() -> None:
    transform = Compose([ScaleIntensityd("image"), RandFlipd("image", 0.5)])
    transform.set_random_state(0)
    before = flat_settings(transform.transforms[0], "it")
    transform({"image": torch.rand(1, 4, 4)})
    assert flat_settings(transform.transforms[0], "it") == before


def test_another_process_describes_the_same_the_same(tmp_path: Path) -> None:
    code = (
        "from fewlabel.data.streams.flat_settings import flat_settings\n"
        "from monai.transforms import Compose, RandFlipd\n"
        "from torch import nn\n"
        "print(flat_settings([Compose([RandFlipd('image')]), nn.Linear(2, 2), {'b', 'a', 'c'}, lambda x: x], 'it'))\n"
    )
    (tmp_path / "program.py").write_text(code)
    told = {
        subprocess.run(
            [sys.executable, str(tmp_path / "program.py")], cwd=ROOT, capture_output=True, text=True, check=True,
            env={**os.environ, **environment(), "PYTHONHASHSEED": str(seed)},
        ).stdout
        for seed in (1, 2)
    }  # fmt: skip
    assert len(told) == 1
