from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest

from fewlabel.planning import read_fingerprint


@pytest.fixture
def dataset(tmp_path):
    """Three labeled scans with a square of 6 x 6 pixels in two of five slices, and an unlabeled one."""
    for half in ("images", "labels"):
        (tmp_path / f"{half}Tr").mkdir()
    affine = np.diag([2.0, 2.0, 8.0, 1.0])
    for number, name in enumerate("abcd"):
        image = np.full((30, 20, 5), number, dtype=np.float32)
        image[0, 0, 0], image[1, 0, 0] = -10, 50
        nib.save(nib.Nifti1Image(image, affine), tmp_path / "imagesTr" / f"{name}.nii.gz")
        label = np.zeros((30, 20, 5), dtype=np.uint8)
        label[4:10, 4:10, 1:3] = 1
        if name != "d":
            nib.save(nib.Nifti1Image(label, affine), tmp_path / "labelsTr" / f"{name}.nii.gz")
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "left lung": 1}}))
    splits = {"labeled": ["a", "b"], "unlabeled": ["d"], "validation": ["c"], "test": []}
    (tmp_path / "splits.json").write_text(json.dumps(splits))
    return tmp_path


def test_sizes_spacings_sides_and_splits_are_read(dataset):
    found = read_fingerprint(dataset)
    assert found.shape == (30, 20, 5)
    assert found.spacing == pytest.approx((2, 2, 8))
    assert found.extent == pytest.approx((60, 40, 40))
    assert found.sides == ("left lung",)
    assert (found.labeled, found.unlabeled, found.validation, found.test) == (2, 1, 1, 0)
    assert found.scored == 1


def test_a_structure_is_as_wide_as_the_disk_of_its_area(dataset):
    # 36 pixels of 4 mm2: the disk of 144 mm2; the slice is 60 x 40 mm
    (structure,) = read_fingerprint(dataset).structures
    assert structure.name == "left lung"
    assert structure.diameter == pytest.approx(2 * np.sqrt(144 / np.pi))
    assert structure.share == pytest.approx(2 * np.sqrt(144 / np.pi) / np.sqrt(2400))


def test_extreme_voxels_show_in_the_range_and_not_in_percentiles(dataset):
    ((lowest, low, high, highest),) = read_fingerprint(dataset).intensities
    assert (lowest, highest) == (-10, 50)
    assert (low, high) == (0.5, 0.5)  # the medians of scans of zeros and of ones


def test_the_foreground_reaches_from_the_darkest_to_the_brightest_class(dataset):
    (dataset / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "left lung": 1, "bone": 2}}))
    affine = np.diag([2.0, 2.0, 8.0, 1.0])
    for number, name in enumerate("ab"):
        image = np.zeros((30, 20, 5), dtype=np.float32)
        image[:10] = -800 + 20 * number
        image[10:20] = 300 + 20 * number
        image[0, 0, 0] = 3000  # metal in the lung moves no median
        label = np.zeros((30, 20, 5), dtype=np.uint8)
        label[:10] = 1
        label[10:20] = 2
        nib.save(nib.Nifti1Image(image, affine), dataset / "imagesTr" / f"{name}.nii.gz")
        nib.save(nib.Nifti1Image(label, affine), dataset / "labelsTr" / f"{name}.nii.gz")
    assert read_fingerprint(dataset).foreground == (-790, 310)  # medians over both scans


def test_label_maps_beyond_the_labeled_cases_are_not_read(dataset):
    (dataset / "labelsTr" / "b.nii.gz").write_bytes(b"no image")
    found = read_fingerprint(dataset, labeled_cases=1)
    assert (found.labeled, found.unlabeled) == (1, 2)


def test_a_dataset_without_a_labeled_voxel_is_refused(dataset):
    empty = nib.Nifti1Image(np.zeros((30, 20, 5), dtype=np.uint8), np.diag([2.0, 2.0, 8.0, 1.0]))
    for name in "ab":
        nib.save(empty, dataset / "labelsTr" / f"{name}.nii.gz")
    with pytest.raises(ValueError, match="no labeled voxel; label a structure"):
        read_fingerprint(dataset)


def test_axes_are_those_that_the_network_sees(dataset):
    # stored axis 0 leads to the head: slices of a scan that is stored slice first
    affine = np.array([[0, 2.0, 0, 0], [0, 0, 2.0, 0], [8.0, 0, 0, 0], [0, 0, 0, 1]])
    for file in [*(dataset / "imagesTr").iterdir(), *(dataset / "labelsTr").iterdir()]:
        volume = np.asarray(nib.load(file).dataobj)
        nib.save(nib.Nifti1Image(np.moveaxis(volume, 2, 0), affine), file)
    found = read_fingerprint(dataset)
    assert found.shape == (30, 20, 5)
    assert found.spacing == pytest.approx((2, 2, 8))
    assert found.slice_axis == 2
    assert found.structures[0].diameter == pytest.approx(2 * np.sqrt(144 / np.pi))


def test_voxels_that_nobody_annotated_are_no_foreground(dataset):
    (dataset / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "left lung": 1, "ignore": 2}}))
    before = read_fingerprint(dataset).foreground
    for name in "ab":
        file = dataset / "labelsTr" / f"{name}.nii.gz"
        label = np.asarray(nib.load(file).dataobj).copy()
        label[0, 0, 0] = label[1, 0, 0] = 2  # the extreme voxels
        nib.save(nib.Nifti1Image(label, np.diag([2.0, 2.0, 8.0, 1.0])), file)
    assert read_fingerprint(dataset).foreground == before


def test_an_image_that_is_not_finite_is_refused(dataset):
    broken = np.full((30, 20, 5), np.nan, dtype=np.float32)
    nib.save(nib.Nifti1Image(broken, np.diag([2.0, 2.0, 8.0, 1.0])), dataset / "imagesTr" / "a.nii.gz")
    with pytest.raises(ValueError, match=r"a\.nii\.gz holds NaN or infinite voxels"):
        read_fingerprint(dataset)
