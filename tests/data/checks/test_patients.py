"""One patient's scans on two sides of a split."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fewlabel.data.checks.dataset import check
from fewlabel.data.checks.doubles import find_doubles
from fewlabel.data.checks.keypoints import find_keypoints
from fewlabel.data.checks.patients import scans_of


@pytest.fixture
def dataset(phantom: Path, tmp_path: Path) -> Path:
    """A phantom whose validation case is a crop of a training case, and stored in another orientation."""
    root = Path(shutil.copytree(phantom, tmp_path / "cardiac"))
    splits = json.loads((root / "splits.json").read_text())
    (first, *_), (held, *_) = splits["labeled"], splits["validation"]
    for half in ("images", "labels"):
        (source,) = root.glob(f"{half}T?/{first}*")
        (target,) = root.glob(f"{half}T?/{held}*")
        image = nib.load(source)
        array = np.asarray(image.dataobj)[6:, 3:-2]
        affine = image.affine @ nib.affines.from_matvec(np.diag([-1, 1, 1]), [5 + len(array), 3, 0])
        nib.save(nib.Nifti1Image(array[::-1].copy(), affine), target)
    return root


def names(root: Path) -> tuple[str, str]:
    splits = json.loads((root / "splits.json").read_text())
    return splits["labeled"][0], splits["validation"][0]


def test_a_crop_on_the_other_side_is_a_warning_with_numbers(dataset: Path) -> None:
    report = check(dataset)
    (problem,) = [problem for problem in report.problems if problem.kind == "one patient"]
    first, held = names(dataset)
    assert problem.severity == "warning"
    assert f"{first} (labeled) and {held} (validation) have 100.0% identical voxels after a shift of" in problem.message
    assert report.ok


def test_the_patients_to_leave_out_of_scores_are_those_with_a_double_in_training(dataset: Path) -> None:
    _, held = names(dataset)
    scans = scans_of(dataset)
    assert set(scans.held_out("validation")) == {held}
    assert scans.held_out("test") == {}


def test_a_pair_on_one_side_counts_twice_and_is_told_so(dataset: Path) -> None:
    splits = json.loads((dataset / "splits.json").read_text())
    splits["labeled"].append(splits["validation"].pop(0))
    (dataset / "splits.json").write_text(json.dumps(splits))
    (problem,) = [problem for problem in check(dataset).problems if problem.kind == "one patient"]
    assert "such a patient counts twice" in problem.message
    assert scans_of(dataset).held_out("validation") == {}


def test_volumes_that_splits_json_groups_as_one_case_are_no_doubles(dataset: Path) -> None:
    first, held = names(dataset)
    splits = json.loads((dataset / "splits.json").read_text())
    splits["validation"] = [name for name in splits["validation"] if name != held]
    splits["cases"] = {first: [first, held]}
    (dataset / "splits.json").write_text(json.dumps(splits))
    assert [problem for problem in check(dataset).problems if problem.kind == "one patient"] == []


def test_files_of_equal_voxels_are_reported_once(phantom: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(phantom, tmp_path / "cardiac"))
    first, held = names(root)
    for half in ("images", "labels"):
        (source,), (target,) = root.glob(f"{half}T?/{first}*"), root.glob(f"{half}T?/{held}*")
        target.write_bytes(source.read_bytes())
    kinds = [problem.kind for problem in check(root).problems]
    assert kinds.count("same scan") == 1
    assert "one patient" not in kinds


def test_drawn_patients_are_all_different(phantom: Path) -> None:
    assert scans_of(phantom).doubles() == []


@pytest.mark.slow
def test_of_acdc_two_training_patients_are_one(real_acdc: Path) -> None:
    found = {frozenset((double.first, double.second)) for double in scans_of(real_acdc).doubles()}
    assert {frozenset((f"patient074_frame0{k}", f"patient076_frame0{k}")) for k in (1, 2)} <= found
    patients = {frozenset(name.split("_")[0] for name in pair) for pair in found}
    assert patients == {frozenset(("patient074", "patient076"))}


@pytest.mark.slow
def test_of_the_left_atria_two_scans_look_alike_after_a_shift(real_atria: Path) -> None:
    """One patient's, as their labels tell; correlation 0.79 where the next pair has 0.63."""
    files = {file.name.split(".")[0]: nib.load(file) for file in (real_atria / "images").iterdir()}
    scans = {name: np.asarray(image.dataobj, dtype=np.float32) for name, image in files.items()}
    keypoints = {name: find_keypoints(scans[name], image.header.get_zooms()) for name, image in files.items()}
    (double,) = find_doubles(keypoints, scans.__getitem__)
    assert {double.first[:5], double.second[:5]} == {"06SR5", "1GU15"}
    assert 0.75 < double.correlation < 0.85
