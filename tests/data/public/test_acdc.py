from __future__ import annotations

import json
import warnings
from itertools import combinations
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from fewlabel.data.public.acdc import acdc_splits, prepare_acdc
from helpers.acdc_forms import (
    AFFINE,
    FORMS,
    PATIENTS,
    challenge,
    frames,
    plain_nifti,
    prepare,
    quiet,
    save_nifti,
    scan,
)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    challenge(tmp_path / "raw")
    return tmp_path / "raw"


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_voxels_under_the_published_names(form: str, tmp_path: Path) -> None:
    FORMS[form](tmp_path / "raw")
    out = prepare(tmp_path / "raw", tmp_path / "out")
    assert json.loads((out / "manifest.json").read_text())["form"] == form
    for name in frames(PATIENTS):
        part = "Ts" if name.startswith("patient011") else "Tr"
        image, label = (nib.load(out / f"{kind}{part}" / f"{name}.nii.gz") for kind in ("images", "labels"))
        expected = scan(name)
        np.testing.assert_array_equal(np.asarray(image.dataobj), expected[0])
        np.testing.assert_array_equal(np.asarray(label.dataobj), expected[1])
        assert label.get_data_dtype() == np.uint8
        affine = np.diag([1.5, 1.5, 10, 1]) if form.startswith("h5") else AFFINE
        np.testing.assert_allclose(image.affine, affine, atol=1e-6)
        np.testing.assert_array_equal(image.affine, label.affine)


def test_splits_follow_the_published_order_and_group_the_two_frames(raw: Path, tmp_path: Path) -> None:
    out = prepare(raw, tmp_path / "out")
    splits = json.loads((out / "splits.json").read_text())
    assert splits["labeled"] == ["patient038", "patient049"]
    assert (splits["unlabeled"], splits["validation"], splits["test"]) == ([], ["patient028"], ["patient011"])
    assert splits["cases"]["patient038"] == ["patient038_frame01", "patient038_frame02"]
    assert sorted(splits["cases"]) == sorted(PATIENTS)
    assert json.loads((out / "dataset.json").read_text())["numTraining"] == 6


def test_the_packaged_lists_are_the_published_ones() -> None:
    lists = acdc_splits()
    parts = [set(lists[part]) for part in ("labeled", "validation", "test")]
    assert [len(part) for part in parts] == [70, 10, 20]
    assert all(not a & b for a, b in combinations(parts, 2))
    assert set.union(*parts) == {f"patient{number:03d}" for number in range(1, 101)}
    # slices of the first k patients in the papers' k-case settings, both frames
    slices = [2 * lists["slices_per_frame"][patient] for patient in lists["labeled"]]
    assert {k: sum(slices[:k]) for k in (1, 3, 7, 14, 21, 28, 35, 70)} == {
        1: 32, 3: 68, 7: 136, 14: 256, 21: 396, 28: 512, 35: 664, 70: 1312,
    }  # fmt: skip


def test_missing_frames_are_an_error_that_names_them_and_the_way_out(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"lacks 192 frames.*patient099_frame01 \(labeled\).*--allow_missing true"
    ):
        prepare_acdc(raw, tmp_path / "out", report=quiet)
    assert not (tmp_path / "out").exists()


def test_of_many_missing_frames_the_first_five_are_named(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"labeled\) and 187 more\. Complete") as caught:
        prepare_acdc(raw, tmp_path / "out", report=quiet)
    assert str(caught.value).count("(labeled)") == 5


def test_patients_outside_the_published_lists_are_left_out_and_named(raw: Path, tmp_path: Path) -> None:
    patient = raw / "database/testing/patient101"
    for name in ("frame01", "frame01_gt", "frame02", "frame02_gt"):
        save_nifti(patient / f"patient101_{name}.nii.gz", np.zeros((6, 5, 3), np.uint8))
    lines: list[str] = []
    out = prepare(raw, tmp_path / "out", lines.append)
    assert not list(out.rglob("patient101*"))
    assert any("left out" in line and "patient101_frame01" in line for line in lines)


def test_a_slice_count_that_differs_from_the_published_one_is_warned_of(tmp_path: Path) -> None:
    plain_nifti(tmp_path / "raw")
    for folder, voxels in zip(("images", "labels"), scan("patient038_frame02"), strict=True):
        save_nifti(tmp_path / "raw" / folder / "patient038_frame02.nii", voxels[..., :5])
    with pytest.warns(UserWarning, match="patient038_frame02 has 5 slices, but the published lists count 8") as caught:
        prepare(tmp_path / "raw", tmp_path / "out")
    assert len(caught) == 1


def test_complete_data_bring_no_warning(raw: Path, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prepare(raw, tmp_path / "out")


@pytest.mark.parametrize("allow_missing", ["true", 1])
def test_allow_missing_is_a_truth_value(allow_missing: Any, raw: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="allow_missing is"):
        prepare_acdc(raw, tmp_path / "out", allow_missing=allow_missing)
