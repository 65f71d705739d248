"""Each network, exported and checked on scans: small and trained on a phantom, at its real size on hearts."""

from __future__ import annotations

import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ckpt_export, onnx_export

from fewlabel.bundle import export_bundle
from fewlabel.bundle.export.formats import FORMATS
from helpers.bundle_runs import Trained, example, workflow
from helpers.bundles import ONE_OF_EACH_NETWORK, ONE_OF_EACH_NETWORK_TRAINED, config, kind_of, phantom_of
from helpers.paths import ROOT


@pytest.mark.parametrize("to", FORMATS)
@ONE_OF_EACH_NETWORK_TRAINED
def test_a_bundle_is_exported_as_it_segments(to: str, trained: Trained, phantom: Path, tmp_path: Path) -> None:
    scan = phantom / "imagesTs" / f"{phantom_of(trained.bundle)}_005.nii.gz"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        export = export_bundle(
            ROOT / "bundles" / trained.bundle, to, tmp_path / "network", scan=scan, checkpoint=trained.checkpoint
        )
    image = example(trained.bundle, 3)
    network = trained.workflow.parser.get_parsed_content("network")
    network.load_state_dict(torch.load(trained.checkpoint, weights_only=True))
    with torch.no_grad():
        difference = (FORMATS[to].read(export.file)(image) - network.cpu().eval()(image)).abs().max()
    assert difference <= 1e-4
    assert export.difference <= 1e-4
    assert export.differing <= 1e-4 * export.voxels


@ONE_OF_EACH_NETWORK_TRAINED
def test_monais_own_commands_export_a_bundle(trained: Trained, tmp_path: Path) -> None:
    import onnxruntime

    options = {
        "ckpt_file": str(trained.checkpoint),
        "checkpoint": str(trained.checkpoint),
        "meta_file": str(config(trained.bundle, "metadata")),
        "config_file": str(config(trained.bundle, "inference")),
    }
    ckpt_export("network_def", filepath=str(tmp_path / "model.ts"), **options)
    onnx_export(
        "network_def", filepath=str(tmp_path / "model.onnx"), input_shape=list(example(trained.bundle).shape), **options
    )
    network = trained.workflow.parser.get_parsed_content("network")
    network.load_state_dict(torch.load(trained.checkpoint, weights_only=True))
    image = example(trained.bundle)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    with torch.no_grad():
        expected = network.eval()(image)
        torch.testing.assert_close(torch.jit.load(tmp_path / "model.ts").eval()(image), expected)
    (logits,) = session.run(None, {session.get_inputs()[0].name: image.numpy()})
    np.testing.assert_allclose(logits, expected, atol=1e-4)


@ONE_OF_EACH_NETWORK_TRAINED
def test_the_exported_network_computes_the_same(trained: Trained, tmp_path: Path) -> None:
    ckpt_export(
        "network_def",
        filepath=str(tmp_path / "model.ts"),
        ckpt_file=str(trained.checkpoint),
        meta_file=str(config(trained.bundle, "metadata")),
        config_file=str(config(trained.bundle, "inference")),
        checkpoint=str(trained.checkpoint),
    )
    exported = torch.jit.load(tmp_path / "model.ts").eval()
    network = trained.workflow.parser.get_parsed_content("network")
    network.load_state_dict(torch.load(trained.checkpoint, weights_only=True))
    image = example(trained.bundle)
    with torch.no_grad():
        torch.testing.assert_close(exported(image), network.eval()(image))


@pytest.mark.slow
@pytest.mark.parametrize("to", FORMATS)
@ONE_OF_EACH_NETWORK
def test_at_its_real_size_a_bundle_segments_a_real_heart_alike(
    bundle: str, to: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    parser = workflow(bundle, "inference", checkpoint="no_weights_yet.pt", device="cpu").parser
    network, inferer = parser.get_parsed_content("network_def"), parser.get_parsed_content("inferer")
    if kind_of(bundle) == "volumes":
        whole = min((request.getfixturevalue("real_atria") / "images").iterdir())
        scan = window_of(whole, inferer.roi_size, tmp_path / "scan.nii.gz")
    else:
        scan = min((request.getfixturevalue("real_acdc") / "imagesTr").iterdir())
    image = parser.get_parsed_content("preprocessing")({"image": str(scan)})["image"]
    with torch.no_grad():
        inferer(image[None], network.train())  # so that batch normalization has seen hearts
    torch.save(network.state_dict(), tmp_path / "model.pt")
    export = export_bundle(
        ROOT / "bundles" / bundle, to, tmp_path / "network", scan=scan, checkpoint=tmp_path / "model.pt"
    )
    print(f"\n{bundle}: {export}")
    assert export.difference <= 1e-4
    assert export.differing <= 1e-4 * export.voxels
    assert export.voxels == image.numel()


def window_of(scan: Path, size: tuple[int, ...], file: Path) -> Path:
    """Write what one window of the network sees of a scan: a whole one takes a CPU the better part of an hour."""
    whole = nib.load(scan)
    corners = [slice(0, side) for side in size]
    nib.save(whole.slicer[tuple(corners)], file)
    return file
