from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fewlabel.data.public.pancreas import PANCREAS, find_pancreas, prepare_pancreas
from helpers.la_forms import quiet

SHAPE = (16, 14, 4)  # at 1.25 x 1.5 x 8 mm, as the DICOM writer has it


@pytest.fixture
def raw(tmp_path: Path, write_series: Callable[..., Path]) -> Path:
    """Scan 0057, which is for training: a bright box in the dark, and its label map with the y axis the other way."""
    image = np.full(SHAPE, -900, np.int16)
    image[4:10, 3:8, 1:3] = 100
    image[0, 0, 0] = 900
    folder = write_series(tmp_path / "raw" / "Pancreas-CT" / "PANCREAS_0057" / "study" / "series", image, modality="CT")
    import SimpleITK

    names = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
    volume = SimpleITK.ReadImage(names)
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(volume.GetDirection(), (3, 3)) * np.asarray(volume.GetSpacing())
    affine[:3, 3] = volume.GetOrigin()
    label = nib.Nifti1Image((image == 100).astype(np.uint8), np.diag([-1.0, -1, 1, 1]) @ affine)
    flipped = label.as_reoriented(np.array([[0, 1], [1, -1], [2, 1]]))
    nib.save(flipped, tmp_path / "raw" / "label0057.nii.gz")
    return tmp_path / "raw"


def test_a_scan_is_windowed_resampled_and_cut_to_its_label(raw: Path, tmp_path: Path) -> None:
    out = prepare_pancreas(raw, tmp_path / "out", allow_missing=True, report=quiet, margin=2)
    image, label = (nib.load(out / folder / "0057.nii.gz") for folder in ("imagesTr", "labelsTr"))
    np.testing.assert_allclose(image.header.get_zooms(), 1.0, atol=0.06)
    voxels, mask = np.asarray(image.dataobj), np.asarray(label.dataobj) > 0
    # the box is 6 x 5 x 2 voxels of 1.5 x 1.25 x 8 mm: image and label agree although their axes did not
    assert mask.sum() == pytest.approx(6 * 5 * 2 * 1.5 * 1.25 * 8, rel=0.15)
    assert (voxels.min(), voxels.max()) == (-125, 100)
    bright = voxels > (100 - 125) / 2
    assert 2 * (bright & mask).sum() / (bright.sum() + mask.sum()) > 0.9
    inside = np.argwhere(mask)
    assert inside.min(0).tolist() == [2, 2, 2]


def test_a_label_map_on_another_grid_is_an_error_that_names_the_scan(raw: Path, tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.ones((3, 3, 3), np.uint8), np.eye(4)), raw / "label0057.nii.gz")
    with pytest.raises(ValueError, match=r"cannot read .*\.dcm .*its label map \(3, 3, 3\)"):
        prepare_pancreas(raw, tmp_path / "out", allow_missing=True, report=quiet)


def test_a_series_without_a_label_map_is_an_error(raw: Path) -> None:
    (raw / "label0057.nii.gz").unlink()
    with pytest.raises(ValueError, match=r"expected label0057\.nii\.gz"):
        find_pancreas(raw)


def test_a_folder_without_series_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="does not exist"):
        find_pancreas(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="holds no Pancreas-CT scan"):
        find_pancreas(tmp_path)


def test_the_manifest_says_that_the_preparation_is_unverified(raw: Path, tmp_path: Path) -> None:
    out = prepare_pancreas(raw, tmp_path / "out", allow_missing=True, report=quiet)
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["verified"].startswith("no")
    assert manifest["recipe"] == "cut to (-125, 275) HU, resampled to 1.0 mm, region from the label, margin 25"


def test_the_published_lists_hold_82_scans_once() -> None:
    splits = PANCREAS.splits()
    names = [name for part in splits.values() for name in part]
    assert len(names) == len(set(names)) == 82
    assert splits["labeled"][:3] == ["0057", "0018", "0062"]
    assert (len(splits["validation"]), len(splits["test"])) == (4, 20)
