from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fewlabel.cli import main
from fewlabel.data import Cohort
from fewlabel.data.public.left_atrium import LEFT_ATRIUM, find_la, prepare_la
from helpers.la_forms import FORMS, NAMES, SPACING, TEST, TRAINING, VALIDATION, challenge, nifti, quiet, scan


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    nifti(tmp_path / "raw")
    return tmp_path / "raw"


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_voxels_under_the_published_names(form: str, tmp_path: Path) -> None:
    FORMS[form](tmp_path / "raw")
    out = prepare_la(tmp_path / "raw", tmp_path / "out", allow_missing=True, report=quiet)
    assert json.loads((out / "manifest.json").read_text())["form"] == form
    for name in NAMES:
        part = "Ts" if name == TEST else "Tr"
        image, label = (nib.load(out / f"{kind}{part}" / f"{name}.nii.gz") for kind in ("images", "labels"))
        expected = scan(name)
        np.testing.assert_array_equal(np.asarray(image.dataobj), expected[0])
        np.testing.assert_array_equal(np.asarray(label.dataobj), expected[1])
        np.testing.assert_allclose(image.header.get_zooms(), SPACING)
        np.testing.assert_array_equal(image.affine, label.affine)


def test_the_result_is_a_dataset_whose_labeled_scans_come_in_published_order(raw: Path, tmp_path: Path) -> None:
    cohort = Cohort(prepare_la(raw, tmp_path / "out", allow_missing=True, report=quiet), labeled_cases=1)
    found = [[item["volume"] for item in part] for part in (cohort.labeled, cohort.unlabeled, cohort.validation)]
    assert found == [TRAINING[:1], TRAINING[1:], [VALIDATION]]
    assert [item["volume"] for item in cohort.test] == [TEST]
    assert cohort.labels == {0: "background", 1: "left atrium"}
    assert all("label" not in item for item in cohort.unlabeled)


def test_the_published_lists_hold_a_hundred_scans_once_and_four_of_the_training_validate() -> None:
    splits = LEFT_ATRIUM.splits()
    names = [name for part in splits.values() for name in part]
    assert len(names) == len(set(names)) == 100
    assert [len(splits[part]) for part in ("labeled", "validation", "test")] == [76, 4, 20]
    assert splits["labeled"][:4] == sorted(splits["labeled"])[:4]
    assert splits["validation"][-1] == VALIDATION


def test_a_crop_keeps_the_voxels_around_the_label_where_they_were(raw: Path, tmp_path: Path) -> None:
    out = prepare_la(raw, tmp_path / "out", allow_missing=True, report=quiet, margin=1)
    whole = nib.load(raw / "images" / f"{TEST}.nii")
    cut = nib.load(out / "imagesTs" / f"{TEST}.nii.gz")
    # smaller than the 112 voxels that are kept at least: all of x and y, and z is never cut
    np.testing.assert_array_equal(np.asarray(cut.dataobj), np.asarray(whole.dataobj))
    assert json.loads((out / "manifest.json").read_text())["region"] == "from the label, margin 1"


def test_a_crop_is_of_x_and_y_around_the_label_and_112_voxels_wide_at_least(tmp_path: Path) -> None:
    image = np.zeros((160, 150, 130), np.uint8)
    label = image.copy()
    label[20:120, 70:74, 60:63] = 1  # 100 voxels of x and 4 of y
    image[20:120] = np.arange(100, dtype=np.uint8)[:, None, None] + 1
    nifti(tmp_path / "raw")
    for folder, voxels in (("images", image), ("labels", label)):
        path = tmp_path / "raw" / folder / f"{TRAINING[0]}.nii"
        nib.save(nib.Nifti1Image(voxels, np.diag([*SPACING, 1])), path)

    out = prepare_la(tmp_path / "raw", tmp_path / "out", allow_missing=True, report=quiet, margin=15)

    cut = nib.load(out / "imagesTr" / f"{TRAINING[0]}.nii.gz")
    assert cut.shape == (130, 112, 130)  # 15 + 100 + 15; 112, as 15 + 4 + 15 are fewer; all of z
    np.testing.assert_array_equal(np.asarray(cut.dataobj), image[5:135, 16:128])
    np.testing.assert_allclose(cut.affine[:3, 3], [5 * 0.625, 16 * 0.625, 0])


def test_another_margin_writes_the_scans_anew(raw: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    prepare_la(raw, tmp_path / "out", allow_missing=True, report=quiet)
    prepare_la(raw, tmp_path / "out", allow_missing=True, report=lines.append)
    assert sum("finished before, verified" in line for line in lines) == len(NAMES)
    lines.clear()
    prepare_la(raw, tmp_path / "out", allow_missing=True, report=lines.append, margin=2)
    assert sum("written" in line for line in lines) == len(NAMES)


def test_missing_scans_are_an_error_that_names_them_and_the_way_out(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"lacks 96 scans .*1D7CUD1955YZPGK8XHJX.*--allow_missing true"):
        prepare_la(raw, tmp_path / "out", report=quiet)


def test_scans_without_any_for_training_are_an_error(tmp_path: Path) -> None:
    nifti(tmp_path / "raw")
    for name in TRAINING:
        (tmp_path / "raw" / "images" / f"{name}.nii").unlink()
    with pytest.raises(FileNotFoundError, match="holds no training scan"):
        prepare_la(tmp_path / "raw", tmp_path / "out", allow_missing=True, report=quiet)


def test_a_scan_without_its_label_map_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    challenge(tmp_path / "a")
    label = next((tmp_path / "a").rglob("laendo.nrrd"))
    label.unlink()
    with pytest.raises(ValueError, match=r"lgemri\.nrrd has no label map beside it: expected laendo\.nrrd"):
        find_la(tmp_path / "a")
    nifti(tmp_path / "b")
    (tmp_path / "b" / "labels" / f"{TEST}.nii").unlink()
    with pytest.raises(ValueError, match=rf"{TEST}\.nii has no label map"):
        find_la(tmp_path / "b")


def test_a_damaged_scan_is_an_error_that_names_the_file(raw: Path, tmp_path: Path) -> None:
    path = raw / "images" / f"{TRAINING[0]}.nii"
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(ValueError, match=rf"cannot read .*{TRAINING[0]}\.nii .*download it again"):
        prepare_la(raw, tmp_path / "out", allow_missing=True, report=quiet)


@pytest.mark.parametrize(("there", "message"), [(False, "does not exist"), (True, r"expected <scan>/lgemri\.nrrd")])
def test_a_folder_without_the_challenge_is_an_error(there: bool, message: str, tmp_path: Path) -> None:
    if there:
        (tmp_path / "raw").mkdir()
    with pytest.raises(FileNotFoundError, match=message):
        find_la(tmp_path / "raw")


def test_the_same_folder_for_both_is_an_error(raw: Path) -> None:
    with pytest.raises(ValueError, match="raw and out are the same folder"):
        prepare_la(raw, raw, allow_missing=True, report=quiet)


def test_the_command_passes_the_margin_on_and_refuses_one_for_acdc(
    raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for margin, region in (("3", "from the label, margin 3"), ("none", "whole")):
        out = tmp_path / margin
        main(["prepare", "la", str(raw), str(out), "--allow_missing", "true", "--margin", margin])
        assert json.loads((out / "manifest.json").read_text())["region"] == region
    with pytest.raises(SystemExit):
        main(["prepare", "acdc", str(raw), str(tmp_path / "acdc"), "--margin", "3"])
    assert "fewlabel prepare acdc has no option --margin: it has --allow_missing" in capsys.readouterr().err
