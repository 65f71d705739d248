from __future__ import annotations

import copy
import dataclasses
import json
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
import torch
from monai.data import load_net_with_metadata
from torch import nn

from fewlabel.bundle import export_bundle
from fewlabel.bundle.export.formats import FORMATS, write_torchscript
from fewlabel.cli import main
from fewlabel.networks import SwinUnet

# one layer, because exporting costs seconds for each; the bundles' own networks are exported in tests/bundles
LAYER = {"_target_": "torch.nn.Conv2d", "in_channels": 1, "out_channels": 4, "kernel_size": 3, "padding": 1}


def write_bundle(folder: Path, network: Mapping[str, Any], inferer: Mapping[str, Any], rank: int = 2) -> Path:
    (folder / "configs").mkdir(parents=True)
    image = {"num_channels": 1, "spatial_shape": ["*"] * rank}
    metadata = {"name": "tiny", "version": "1.2.3", "network_data_format": {"inputs": {"image": image}}}
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata))
    transforms = [{"_target_": "fewlabel.transforms.LoadCased"}, {"_target_": "ScaleIntensityd", "keys": "image"}]
    config = {
        "network_def": network,
        "preprocessing": {"_target_": "Compose", "transforms": transforms},
        "inferer": inferer,
    }
    (folder / "configs" / "inference.json").write_text(json.dumps(config))
    return folder


def add_weights(folder: Path, content: object) -> Path:
    (folder / "models").mkdir(exist_ok=True)
    torch.save(content, folder / "models" / "model.pt")
    return folder


def layer(num_classes: int = 4) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(1, num_classes, 3, padding=1)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle that segments slices of 32 x 32 pixels, eight at a time."""
    inferer = {"_target_": "fewlabel.inferers.ResizedSliceInferer", "size": [32, 32]}
    return add_weights(write_bundle(tmp_path / "tiny", LAYER, inferer), layer().state_dict())


@pytest.fixture
def scan(phantom: Path) -> Path:
    return phantom / "imagesTs" / "cardiac_005.nii.gz"


def images(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


def run_onnx(file: Path, batch: torch.Tensor) -> torch.Tensor:
    import onnxruntime

    return torch.from_numpy(onnxruntime.InferenceSession(file).run(["pred"], {"image": batch.numpy()})[0])


def test_torchscript_computes_the_same_at_any_size_and_carries_the_bundles_files(bundle: Path, scan: Path) -> None:
    (bundle / "models" / "model.json").write_text('{"size": 32}')
    export = export_bundle(bundle, "torchscript", scan=scan)
    assert export.file == bundle / "models" / "model.ts"
    network, metadata, others = load_net_with_metadata(
        str(export.file), more_extra_files=("inference.json", "model.json")
    )
    for shape in ((1, 1, 32, 32), (3, 1, 48, 80)):
        with torch.no_grad():
            torch.testing.assert_close(network(images(*shape)), layer()(images(*shape)), rtol=0, atol=1e-5)
    assert metadata["version"] == "1.2.3"
    assert json.loads(others["inference.json"])["network_def"] == LAYER
    assert json.loads(others["model.json"]) == {"size": 32}


def test_onnx_computes_the_same_for_any_number_of_slices_and_refuses_other_sizes(bundle: Path, scan: Path) -> None:
    import onnx

    export = export_bundle(bundle, "onnx", scan=scan)
    assert export.file == bundle / "models" / "model.onnx"
    for slices in (1, 2, 5):
        with torch.no_grad():
            expected = layer()(images(slices, 1, 32, 32))
        torch.testing.assert_close(run_onnx(export.file, images(slices, 1, 32, 32)), expected, rtol=0, atol=1e-5)
    with pytest.raises(Exception, match="Got: 48 Expected: 32"):
        run_onnx(export.file, images(1, 1, 48, 48))
    model = onnx.load(export.file)
    notes = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert notes["metadata"]["version"] == "1.2.3"
    assert notes["inference"]["network_def"] == LAYER
    assert "image (batch, 1, 32, 32), pred (batch, 4, 32, 32)" in str(export)
    assert f"opset {next(entry.version for entry in model.opset_import if not entry.domain)}" in str(export)


def test_the_report_names_the_scan_and_counts_its_voxels(bundle: Path, scan: Path) -> None:
    import nibabel as nib

    export = export_bundle(bundle, "torchscript", scan=scan)
    assert export.voxels == np.prod(nib.load(scan).shape)
    assert export.differing == 0
    assert export.difference <= 1e-6
    assert f"checked on {scan}: largest difference of logits" in str(export)
    assert f"0 of {export.voxels} voxels with another label" in str(export)


def test_without_a_scan_a_synthetic_heart_is_taken(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["export", str(bundle), "--to", "torchscript", "--out", str(tmp_path / "new" / "network.ts")])
    assert "checked on a synthetic heart" in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["network.ts"]


def test_a_volumetric_network_goes_both_ways_too(tmp_path: Path, scan: Path) -> None:
    network = {"_target_": "torch.nn.Conv3d", "in_channels": 1, "out_channels": 2, "kernel_size": 3, "padding": 1}
    inferer = {"_target_": "SlidingWindowInferer", "roi_size": [32, 32, 4], "sw_batch_size": 3}
    folder = write_bundle(tmp_path / "tiny", network, inferer, rank=3)
    add_weights(folder, nn.Conv3d(1, 2, 3, padding=1).state_dict())
    assert "TorchScript, input (batch, 1, ...)" in str(export_bundle(folder, "torchscript", scan=scan))
    assert "image (batch, 1, 32, 32, 4), pred (batch, 2, 32, 32, 4)" in str(export_bundle(folder, "onnx", scan=scan))


def test_a_network_that_torchscript_does_not_compile_is_refused_with_the_way_out(tmp_path: Path, scan: Path) -> None:
    settings: dict[str, Any] = {"img_size": 64, "embed_dim": 12, "num_heads": [1, 2, 2, 4], "window_size": 2}
    inferer = {"_target_": "fewlabel.inferers.ResizedSliceInferer", "size": [64, 64]}
    folder = write_bundle(tmp_path / "tiny", {"_target_": "fewlabel.networks.SwinUnet", **settings}, inferer)
    add_weights(folder, SwinUnet(**settings).state_dict())
    with pytest.raises(ValueError, match=r"TorchScript can't compile SwinUnet \(.*\): export to onnx"):
        export_bundle(folder, "torchscript", scan=scan)
    assert [path.name for path in (folder / "models").iterdir()] == ["model.pt"]


def test_an_export_says_nothing_but_its_report(bundle: Path, scan: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in FORMATS:
            main(["export", str(bundle), "--to", name, "--scan", str(scan)])
    shown = capfd.readouterr()
    assert len(shown.out.splitlines()) == 4
    assert shown.err == ""


@pytest.mark.parametrize(("change", "shown"), [(1e-3, "1.0e-03"), (float("nan"), "nan")])
def test_a_file_that_computes_something_else_does_not_appear(
    change: float, shown: str, bundle: Path, scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_wrongly(network: nn.Conv2d, example: torch.Tensor, notes: Mapping[str, Any], stream: IO[bytes]) -> str:
        wrong = copy.deepcopy(network)
        with torch.no_grad():
            wrong.bias[1] += change
        return write_torchscript(wrong, example, notes, stream)

    monkeypatch.setitem(FORMATS, "torchscript", dataclasses.replace(FORMATS["torchscript"], write=write_wrongly))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old.ts").write_text("an older export")
    for name in ("new.ts", "old.ts"):
        with pytest.raises(ValueError, match=f"{name}: not written, because its logits differ by up to {shown}"):
            export_bundle(bundle, "torchscript", out=tmp_path / "out" / name, scan=scan)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["old.ts"]
    assert (tmp_path / "out" / "old.ts").read_text() == "an older export"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"state": 1}, "holds a dictionary with .'state'., not a plain state dict"),
        ({f"module.{key}": value for key, value in layer().state_dict().items()}, "all names begin with 'module.'"),
        ({key: value for key, value in layer().state_dict().items() if key != "bias"}, "1 missing .bias"),
        (layer(num_classes=3).state_dict(), r"bias is \(3,\) instead of \(4,\)"),
    ],
    ids=["no state dict", "wrapped", "a missing key", "another number of classes"],
)
def test_wrong_weights_are_refused(content: object, message: str, bundle: Path, scan: Path) -> None:
    add_weights(bundle, content)
    with pytest.raises(ValueError, match=message):
        export_bundle(bundle, "torchscript", scan=scan)
    assert [path.name for path in (bundle / "models").iterdir()] == ["model.pt"]


def test_other_weights_can_be_named(bundle: Path, scan: Path, tmp_path: Path) -> None:
    other = layer()
    nn.init.zeros_(other.weight)
    torch.save(other.state_dict(), tmp_path / "other.pt")
    export = export_bundle(bundle, "torchscript", scan=scan, checkpoint=tmp_path / "other.pt")
    with torch.no_grad():
        logits = torch.jit.load(export.file)(images(1, 1, 32, 32))
    torch.testing.assert_close(logits, other.bias.detach().reshape(1, 4, 1, 1).expand_as(logits))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"to": "keras"}, "--to is 'keras', but the known formats are torchscript, onnx"),
        ({"scan": "nowhere.nii.gz"}, "nowhere.nii.gz: no such scan"),
        ({"out": "."}, "is a folder; name the file to write"),
        ({"checkpoint": "nowhere.pt"}, "nowhere.pt: no such file; train first"),
    ],
)
def test_a_usage_error_names_the_value_and_the_cure(options: dict[str, str], message: str, bundle: Path) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        export_bundle(bundle, **{"to": "torchscript", **options})


def test_a_scan_that_the_metadata_do_not_fit_is_refused(bundle: Path, scan: Path) -> None:
    file = bundle / "configs" / "metadata.json"
    file.write_text(file.read_text().replace('["*", "*"]', '["*", "*", "*"]'))
    with pytest.raises(ValueError, match=r"promises 1 channels in 3 dimensions, but the network is given 1 in 2"):
        export_bundle(bundle, "torchscript", scan=scan)


@pytest.mark.parametrize("missing", ["onnx", "onnxscript", "onnxruntime"])
def test_onnx_without_its_packages_names_the_extra(
    missing: str, bundle: Path, scan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=rf"ONNX needs {missing} .*pip install '\.\[export\]'"):
        export_bundle(bundle, "onnx", scan=scan)
    assert not (bundle / "models" / "model.onnx").exists()
