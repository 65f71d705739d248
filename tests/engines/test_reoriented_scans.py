"""Segmenting a reoriented scan gives the reoriented segmentation, voxel for voxel, on the scan's own grid."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
import torch
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator
from monai.transforms import AsDiscreted, Compose
from torch import nn

from fewlabel.engines import Segmenter
from fewlabel.inferers import ResizedSliceInferer, WindowInferer
from fewlabel.transforms import LoadCased, ScaleIntensitiesd

CODES = ("RAS", "LPS", "PIR", "SAL", "ASR", "ILP")
AFFINE = nib.affines.from_matvec(np.diag([1.5, 1.25, 6.0]), [-20, 7, 3])
OBLIQUE = np.array([[1.5, 0, 0, -20], [0, 0.8 * 1.25, -0.6 * 6, 7], [0, 0.6 * 1.25, 0.8 * 6, 3], [0, 0, 0, 1]])


def scan(affine: np.ndarray = AFFINE) -> nib.Nifti1Image:
    voxels = np.random.default_rng(0).normal(100, 30, size=(21, 17, 7)).astype(np.float32)
    return nib.Nifti1Image(voxels, affine)


def stored_as(image: nib.Nifti1Image, code: str) -> nib.Nifti1Image:
    wanted = nib.orientations.axcodes2ornt(tuple(code))
    return image.as_reoriented(nib.orientations.ornt_transform(nib.io_orientation(image.affine), wanted))


def lopsided(dimensions: int) -> nn.Module:
    """An untrained network that sees whether its input is turned or mirrored."""
    torch.manual_seed(0)
    convolution = nn.Conv2d if dimensions == 2 else nn.Conv3d
    return nn.Sequential(convolution(1, 6, 3, padding=1), nn.ReLU(), convolution(6, 4, 3, padding=1)).eval()


SLICES = ResizedSliceInferer((16, 24), batch_size=4)
WINDOWS = WindowInferer((8, 12, 4), spacing=(1.7, 1.4, 5.0))


def segment(files: list[Path], inferer: Any, output_dir: Path, mode: str, second: bool = False) -> None:
    dimensions = 3 if isinstance(inferer, WindowInferer) else 2
    data = [{"image": str(file), "name": file.name.split(".")[0]} for file in files]
    preprocessing = Compose([LoadCased(label_key=None), ScaleIntensitiesd({"mode": mode})])
    postprocessing = Compose([AsDiscreted("pred", argmax=True)])
    loader = DataLoader(Dataset(data, preprocessing), batch_size=1)
    evaluator = SupervisedEvaluator(
        torch.device("cpu"), loader, lopsided(dimensions), inferer=inferer, postprocessing=postprocessing
    )
    other = nn.Sequential(*lopsided(dimensions), nn.ReLU()) if second else None
    Segmenter(evaluator, data, preprocessing, postprocessing, output_dir, second, other).run()


@pytest.mark.parametrize("mode", ["minmax", "zscore", "percentile"])
@pytest.mark.parametrize("affine", [AFFINE, OBLIQUE], ids=["straight", "oblique"])
@pytest.mark.parametrize("inferer", [SLICES, WINDOWS], ids=["slices", "volumes"])
def test_segmenting_and_reorienting_commute(inferer: Any, affine: np.ndarray, mode: str, tmp_path: Path) -> None:
    files = []
    for code in CODES:
        files.append(tmp_path / f"{code}.nii.gz")
        nib.save(stored_as(scan(affine), code), files[-1])
    segment(files, inferer, tmp_path / "out", mode)
    first = nib.load(tmp_path / "out" / "RAS.nii.gz")
    assert len(np.unique(first.dataobj)) > 1
    for code, file in zip(CODES, files, strict=True):
        found = nib.load(tmp_path / "out" / f"{code}.nii.gz")
        expected = stored_as(
            nib.Nifti1Image(np.asarray(first.dataobj), nib.as_closest_canonical(scan(affine)).affine), code
        )
        np.testing.assert_array_equal(found.dataobj, expected.dataobj)
        np.testing.assert_array_equal(found.affine, nib.load(file).affine)


@pytest.mark.parametrize("inferer", [SLICES, WINDOWS], ids=["slices", "volumes"])
def test_the_disagreement_of_two_networks_is_reoriented_too(inferer: Any, tmp_path: Path) -> None:
    for code in CODES:
        nib.save(stored_as(scan(), code), tmp_path / f"{code}.nii.gz")
    segment([tmp_path / f"{code}.nii.gz" for code in CODES], inferer, tmp_path / "out", "zscore", second=True)
    first = nib.load(tmp_path / "out" / "RAS_disagreement.nii.gz")
    assert np.ptp(first.dataobj) > 0
    for code in CODES:
        found = nib.load(tmp_path / "out" / f"{code}_disagreement.nii.gz")
        # sums over classes run in another order where classes are laid out otherwise
        np.testing.assert_allclose(found.get_fdata(), stored_as(first, code).get_fdata(), atol=1e-6)


def forms(image: nib.Nifti1Image, sform: np.ndarray | None, qform: np.ndarray | None) -> nib.Nifti1Image:
    image.set_sform(sform, 2 if sform is not None else 0)
    image.set_qform(qform, 1 if qform is not None else 0)
    return image


SHEARED = AFFINE @ np.array([[1, 0.2, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
MOVED = np.diag([-1.0, -1.0, 1.0, 1.0]) @ AFFINE


@pytest.mark.parametrize(
    ("sform", "qform"),
    [(AFFINE, MOVED), (SHEARED, AFFINE), (OBLIQUE, OBLIQUE), (None, OBLIQUE), (OBLIQUE, None), (None, None)],
    ids=["they disagree", "sheared", "oblique", "qform alone", "sform alone", "neither"],
)
def test_a_label_map_opens_in_itk_where_its_scan_is(sform: Any, qform: Any, tmp_path: Path) -> None:
    image = forms(scan(), sform, qform)
    image.header.set_zooms((1.5, 1.25, 6.0))
    image.header["cal_max"] = 150  # a window for gray values is none for labels
    nib.save(image, tmp_path / "scan.nii.gz")
    segment([tmp_path / "scan.nii.gz"], SLICES, tmp_path / "out", "minmax")
    image, label = (SimpleITK.ReadImage(str(path / "scan.nii.gz")) for path in (tmp_path, tmp_path / "out"))
    assert label.GetSize() == image.GetSize()
    assert (label.GetSpacing(), label.GetOrigin(), label.GetDirection()) == (
        image.GetSpacing(), image.GetOrigin(), image.GetDirection(),
    )  # fmt: skip
    before, after = (nib.load(path / "scan.nii.gz").header for path in (tmp_path, tmp_path / "out"))
    for field in ("sform_code", "qform_code", "pixdim", "srow_x", "srow_y", "srow_z", "quatern_b", "qoffset_x"):
        np.testing.assert_array_equal(after[field], before[field])
    assert after["cal_max"] == 0


@pytest.mark.parametrize(
    ("sform", "qform", "remark"),
    [
        (AFFINE, MOVED, "sform and qform disagree by up to .* mm: the sform was taken"),
        (SHEARED, None, "the affine is sheared, its axes are .* degrees off a right angle"),
        (None, None, "the header has neither sform nor qform"),
    ],
)
def test_a_doubtful_geometry_is_told_with_what_was_taken(
    sform: Any, qform: Any, remark: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "scan.nii.gz"
    nib.save(forms(scan(), sform, qform), file)
    image = LoadCased(label_key=None)({"image": str(file)})["image"]
    assert [str(file) in record.getMessage() for record in caplog.records] == [True]
    assert re.search(remark, caplog.text)
    np.testing.assert_array_equal(image.affine, nib.load(file).affine)


def test_a_plain_geometry_is_not_talked_about(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    nib.save(forms(scan(), OBLIQUE, OBLIQUE), tmp_path / "scan.nii.gz")
    LoadCased(label_key=None)({"image": str(tmp_path / "scan.nii.gz")})
    assert not caplog.records
