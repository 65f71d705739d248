"""However a scan is stored, each network finds the same in it, on the scan's own grid."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch

from helpers.bundle_runs import Trained, example, places, run, tiny, workflow
from helpers.bundles import BASELINES, ONE_OF_EACH_KIND, ONE_OF_EACH_NETWORK_TRAINED

CODES = ("RAS", "LPS", "PIR", "SAL", "ASR", "ILP")


def stored_as(image: nib.Nifti1Image, code: str) -> nib.Nifti1Image:
    wanted = nib.orientations.axcodes2ornt(tuple(code))
    return image.as_reoriented(nib.orientations.ornt_transform(nib.io_orientation(image.affine), wanted))


def untrained(trained: Trained, folder: Path) -> Path:
    """Weights for the same settings that find several classes everywhere, and tell a turned image from another."""
    generator = torch.Generator().manual_seed(0)
    network = trained.workflow.parser.get_parsed_content("network").cpu().eval()
    kept = {key: value.clone() for key, value in network.state_dict().items()}
    drawn = {
        key: 0.3 * torch.randn(value.shape, generator=generator) if value.ndim > 1 else value
        for key, value in torch.load(trained.checkpoint).items()
    }
    network.load_state_dict(drawn)
    with torch.no_grad():
        logits = network(example(trained.bundle))
    network.load_state_dict(kept)
    if len(logits.argmax(1).unique()) == 1:  # one class outweighs the others
        last = [key for key in drawn if key.endswith("bias")][-1]
        drawn[last] = drawn[last] - logits.mean(dim=(0, *range(2, logits.ndim)))
    torch.save(drawn, folder / "model.pt")
    shutil.copy(trained.checkpoint.with_suffix(".json"), folder / "model.json")
    return folder / "model.pt"


@ONE_OF_EACH_NETWORK_TRAINED
def test_segmenting_a_reoriented_scan_is_reorienting_its_segmentation(
    trained: Trained, phantom: Path, tmp_path: Path
) -> None:
    scan = nib.load(next((phantom / "imagesTs").iterdir()))
    (tmp_path / "scans").mkdir()
    for code in CODES:
        nib.save(stored_as(scan, code), tmp_path / "scans" / f"{code}.nii.gz")
    settings = {"checkpoint": str(untrained(trained, tmp_path)), "device": "cpu"}
    run(trained.bundle, "inference", dataset_dir=str(tmp_path / "scans"), output_dir=str(tmp_path / "out"), **settings)
    first = nib.load(tmp_path / "out" / "RAS.nii.gz")
    assert len(np.unique(first.dataobj)) > 1
    for code in CODES:
        found = nib.load(tmp_path / "out" / f"{code}.nii.gz")
        np.testing.assert_array_equal(found.dataobj, stored_as(first, code).dataobj)
        np.testing.assert_array_equal(found.affine, nib.load(tmp_path / "scans" / f"{code}.nii.gz").affine)


def test_the_note_beside_the_weights_tells_how_scans_were_read(trained: Trained) -> None:
    note = json.loads(trained.checkpoint.with_suffix(".json").read_text())
    volumes = "spacing" in note
    assert note["intensity"] == {"mode": "zscore" if volumes else "minmax", "low": None, "high": None}
    assert note.get("slice_axis") == (None if volumes else "auto")


@ONE_OF_EACH_KIND
@pytest.mark.parametrize(
    ("names", "mirror", "mirrored"),
    [
        (("right kidney", "left kidney"), "auto", False),
        (("right kidney", "left kidney"), "true", True),
        (("right ventricle", "left ventricle"), "auto", True),
        (("right ventricle", "left ventricle"), "false", False),
    ],
)
def test_images_are_mirrored_unless_labels_name_sides_of_the_body(
    bundle: str, names: tuple[str, str], mirror: str, mirrored: bool, phantom: Path, tmp_path: Path, caplog: Any
) -> None:
    folder = tmp_path / "data"
    shutil.copytree(phantom, folder)
    labels = {"background": 0, names[0]: 1, names[1]: 2, "myocardium": 3}
    (folder / "dataset.json").write_text(json.dumps({"labels": labels}))
    with caplog.at_level(logging.WARNING):
        made = workflow(
            bundle, "train", dataset_dir=str(folder), num_classes=4, mirror=mirror, **places(tmp_path), **tiny(bundle)
        )
        augmentation = made.parser.get_parsed_content("train#augmentation")
    if bundle == BASELINES["slices"]:
        assert augmentation.flips is mirrored
    else:
        flip = next(step for step in augmentation.transforms if type(step).__name__ == "RandFlipd")
        assert flip.prob == (0.5 if mirrored else 0.0)
    told = "right kidney, left kidney name sides of the body: images are not mirrored" in caplog.text
    assert told == (mirror == "auto" and not mirrored)
