from __future__ import annotations

import gzip

import numpy as np
import pytest

from fewlabel.data.checks.dataset import check
from fewlabel.data.checks.problems import Problem
from fewlabel.data.files import capacity
from fewlabel.data.files.volumes import read_volume


def found(report, severity="error"):
    return [(problem.kind, problem.volume) for problem in report.problems if problem.severity == severity]


def message(report, kind):
    (problem,) = [problem for problem in report.problems if problem.kind == kind]
    return problem.message


def test_a_sound_dataset_is_ready_to_train(dataset):
    report = check(dataset.training(4, unlabeled=2).root)
    assert report.ok
    assert found(report) == found(report, "warning") == []
    assert str(report).endswith("0 errors, 0 warnings: ready to train")


def test_there_is_a_row_for_each_volume_with_its_geometry_and_values(acdc_like):
    report = check(acdc_like.root, labeled_cases=1)
    assert [(row.split, row.case, row.volume) for row in report.rows] == [
        ("labeled", "patient003", "patient003_frame01"),
        ("labeled", "patient003", "patient003_frame13"),
        ("unlabeled", "patient001", "patient001_frame01"),
        ("unlabeled", "patient001", "patient001_frame11"),
        ("validation", "patient002", "patient002_frame01"),
        ("validation", "patient002", "patient002_frame12"),
    ]
    assert all(row.shape == acdc_like.shape for row in report.rows)
    assert all(row.spacing == pytest.approx((1.5, 1.5, 10)) for row in report.rows)
    assert [row.values for row in report.rows] == [(0, 1, 2), (0, 1, 2), None, None, (0, 1, 2), (0, 1, 2)]


def test_the_table_is_aligned(acdc_like):
    lines = str(check(acdc_like.root)).splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("split "))
    table = lines[start : start + 7]
    assert table[1] == "labeled     patient003  patient003_frame01  6x5x4  1.50x1.50x10.00  LPS          axial   0 1 2"
    for column in ("case", "volume", "shape", "spacing", "orientation", "slices", "labels"):
        at = table[0].index(column)
        assert all(line[at - 1] == " " and line[at] != " " for line in table)
    assert "labeled: 2 cases (4 volumes), unlabeled: 0 cases (0 volumes), validation: 1 case (2 volumes)" in str(lines)


def test_every_problem_is_found_at_once(dataset):
    dataset.training(6, unlabeled=3).json(
        "splits.json", {"labeled": ["a00", "a01", "a02", "a03", "gone"], "validation": []}
    )
    (dataset.root / "imagesTr/u00.nii.gz").write_bytes(b"garbage")
    dataset.write("labelsTr/a00.nii.gz", np.full(dataset.shape, 9, np.uint8))
    dataset.write("labelsTr/a01.nii.gz", np.full(dataset.shape, 0.5, np.float32))
    dataset.write("labelsTr/a02.nii.gz", np.zeros((2, 2, 2), np.uint8))
    dataset.write("imagesTr/a03.nii.gz", np.full(dataset.shape, np.nan, np.float32))
    dataset.label("nobody")
    report = check(dataset.root)
    assert not report.ok
    assert sorted(found(report)) == [
        ("label values", "a00"),
        ("label values", "a01"),
        ("no image", "nobody"),
        ("not finite", "a03"),
        ("shape differs", "a02"),
        ("unknown name", ""),
        ("unreadable", "u00"),
    ]
    text = str(report)
    assert "7 errors, 1 warning: correct the errors before training" in text
    assert all(problem.message in text for problem in report.problems)
    row = next(row for row in report.rows if row.volume == "u00")
    assert (row.shape, row.spacing) == (None, None)
    assert "?" in row.cells()
    assert row.cells()[-1] == "unreadable"


@pytest.mark.parametrize("folder", ["imagesTr", "labelsTr"])
def test_truncated_files_are_found_though_their_headers_read_well(dataset, folder):
    dataset.training(1)
    noise = np.random.default_rng(0).integers(0, 3, (32, 32, 16)).astype(np.uint8)
    for name in ("imagesTr", "labelsTr"):
        dataset.write(f"{name}/a00.nii.gz", noise)
    path = dataset.root / folder / "a00.nii.gz"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    report = check(dataset.root)
    assert found(report) == [("unreadable", "a00")]
    assert f"{folder}/a00.nii.gz is truncated or corrupt: copy it again" in message(report, "unreadable")


@pytest.mark.parametrize("folder", ["imagesTr", "labelsTr"])
def test_a_wrong_checksum_is_found_though_every_voxel_can_be_read(dataset, folder):
    dataset.training(1)
    noise = np.random.default_rng(0).integers(0, 3, (32, 32, 16)).astype(np.uint8)
    for name in ("imagesTr", "labelsTr"):
        dataset.write(f"{name}/a00.nii.gz", noise)
    path = dataset.root / folder / "a00.nii.gz"
    content = bytearray(path.read_bytes())
    content[-8] ^= 1  # gzip ends with the checksum and the length, four bytes each
    path.write_bytes(bytes(content))
    read_volume(path)
    report = check(dataset.root)
    assert found(report) == [("unreadable", "a00")]
    assert f"{folder}/a00.nii.gz is truncated or corrupt: copy it again" in message(report, "unreadable")


def test_a_corrupt_label_map_is_reported_once(dataset):
    (dataset.training(1).root / "labelsTr/a00.nii.gz").write_bytes(b"garbage")
    assert found(check(dataset.root)) == [("unreadable", "a00")]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_voxel_that_is_not_finite_is_found_in_an_unlabeled_image(dataset, value):
    dataset.training(1)
    array = dataset.voxels()
    array[1, 2, 3] = value
    dataset.write("imagesTr/u.nii.gz", array)
    report = check(dataset.root)
    assert found(report) == [("not finite", "u")]
    assert "u.nii.gz holds NaN or infinite voxels: export it again" in message(report, "not finite")


def test_label_values_outside_the_description_are_named(dataset):
    dataset.training(1).write("labelsTr/a00.nii.gz", np.full(dataset.shape, 4, np.uint8))
    assert "holds the label values 4, but dataset.json names 0, 1, 2" in message(check(dataset.root), "label values")


def test_interpolated_label_maps_are_found(dataset):
    dataset.training(1).write("labelsTr/a00.nii.gz", np.full(dataset.shape, 0.25, np.float32))
    report = check(dataset.root)
    assert "not whole numbers (0.25): it was resampled with interpolation" in message(report, "label values")
    (dataset.root / "dataset.json").unlink()
    assert "not whole numbers (0.25)" in message(check(dataset.root), "label values")


def test_constant_images_are_warned_of(dataset):
    dataset.training(1).write("imagesTr/u.nii.gz", np.full(dataset.shape, 7, np.int16))
    report = check(dataset.root)
    assert report.ok
    assert "u.nii.gz has the same value, 7, everywhere" in message(report, "constant")


def test_empty_label_maps_are_warned_of(dataset):
    dataset.training(2).write("labelsTr/a01.nii.gz", np.zeros(dataset.shape, np.uint8))
    report = check(dataset.root)
    assert report.ok
    assert found(report, "warning") == [("empty label", "a01")]
    assert "a01.nii.gz holds background only: if it was not annotated, remove the file" in message(
        report, "empty label"
    )


def test_a_label_that_no_training_scan_shows_is_warned_of(dataset):
    dataset.training(2).json("dataset.json", {"labels": {"background": 0, "liver": 1, "tumor": 2, "cyst": 3}})
    report = check(dataset.root)
    assert found(report, "warning") == [("absent label", "")]
    assert "label 3 (cyst) occurs in none of the 2 labeled training volumes" in message(report, "absent label")


def test_different_spacings_are_noted(dataset):
    dataset.training(1).write("imagesTr/u.nii.gz", dataset.voxels(), np.diag([1.5, 1.5, 5, 1]))
    assert "spacing differs between volumes (x 1.50 to 1.50, y 1.50 to 1.50, z 5.00 to 10.00 mm)" in message(
        check(dataset.root), "spacing"
    )


def test_a_scan_that_both_trains_and_tests_under_two_names_is_an_error(dataset):
    dataset.training(1)
    array = dataset.voxels()
    dataset.write("imagesTr/u.nii.gz", array)
    dataset.write("imagesTs/t.nii", array)
    dataset.label("t", "Ts")
    report = check(dataset.root)
    assert found(report) == [("same scan", "t")]
    assert "t.nii (test) has the same voxels as " in message(report, "same scan")


def test_a_scan_twice_in_training_is_a_warning(dataset):
    dataset.training(1)
    array = dataset.voxels()
    dataset.write("imagesTr/u.nii.gz", array)
    dataset.write("imagesTr/v.nii.gz", array)
    report = check(dataset.root)
    assert report.ok
    assert found(report, "warning") == [("same scan", "v")]


def test_names_that_look_like_frames_of_patients_are_noted_until_cases_group_them(acdc_like):
    assert all(problem.kind != "cases" for problem in check(acdc_like.root).problems)
    (acdc_like.root / "splits.json").unlink()
    assert "several volumes begin with 'patient00" in message(check(acdc_like.root), "cases")


def test_numbered_scans_do_not_look_like_frames_of_patients(dataset):
    dataset.describe()
    for index in range(6):
        dataset.pair(f"liver_{index}")
    assert all(problem.kind != "cases" for problem in check(dataset.root).problems)


def test_label_maps_that_may_not_be_read_are_never_opened(dataset, monkeypatch):
    dataset.training(6).json("splits.json", {"labeled": ["a03", "a01", "a04"], "unlabeled": ["a05"], "validation": []})
    for name in ("a01", "a04", "a05"):
        (dataset.root / f"labelsTr/{name}.nii.gz").write_bytes(b"garbage")
    report = check(dataset.root, labeled_cases=1)
    assert report.ok
    assert found(report, "warning") == []
    assert [row.values for row in report.rows] == [(0, 1, 2), None, None, None]
    assert found(check(dataset.root)) == [("unreadable", "a01"), ("unreadable", "a04")]


def test_too_many_labeled_cases_are_one_problem_among_the_others(dataset):
    assert found(check(dataset.training(1).root, labeled_cases=5)) == [("labeled_cases", "")]


def test_an_empty_folder_gives_a_report(tmp_path):
    report = check(tmp_path)
    assert found(report) == [("no dataset.json", ""), ("no images", ""), ("no labels", "")]
    assert "labels: unknown" in str(report)


def test_a_missing_folder_is_raised(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        check(tmp_path / "nowhere")


def test_every_channel_is_looked_at(dataset):
    dataset.describe(channel_names={"0": "T2", "1": "ADC"})
    for number in (0, 1):
        dataset.image(f"a_000{number}")
    dataset.label("a")
    dataset.write("imagesTr/a_0001.nii.gz", np.full(dataset.shape, np.nan, np.float32))
    report = check(dataset.root)
    assert "a_0001.nii.gz holds NaN or infinite voxels" in report.by_severity("error")[0].message
    assert "channels: T2, ADC" in str(report)


def test_two_cases_that_share_one_channel_are_two_scans(dataset):
    dataset.describe(channel_names={"0": "T2", "1": "ADC"})
    shared = dataset.voxels()
    for name in ("a", "b"):
        dataset.write(f"imagesTr/{name}_0000.nii.gz", shared)
        dataset.image(f"{name}_0001")
        dataset.label(name)
    assert not [problem for problem in check(dataset.root).problems if problem.kind == "same scan"]


def test_the_ignored_value_is_known(dataset):
    dataset.training(1).json("dataset.json", {"labels": {"background": 0, "liver": 1, "ignore": 2}})
    report = check(dataset.root)
    assert report.ok
    assert "labels: 0 background, 1 liver; 2 is ignored" in str(report)


def test_one_bad_scan_is_named_and_the_others_are_looked_at(dataset, monkeypatch):
    dataset.training(5)
    images = dataset.root / "imagesTr"
    whole = gzip.decompress((images / "a00.nii.gz").read_bytes())
    claimed = bytearray(whole)
    claimed[42:48] = np.array([30000] * 3, "<i2").tobytes()  # dim[1] to dim[3]
    (images / "a00.nii.gz").write_bytes(gzip.compress(bytes(claimed)))
    with open(images / "a01.nii.gz", "ab") as stream:
        stream.write(gzip.compress(b"\0" * (1 << 20)) * 100)
    (images / "a02.nii.gz").unlink()
    (images / "a02.nii.gz").symlink_to("../.git/annex/objects/0K/a02")
    free = iter(range(10**9, 10**12))  # what else runs changes it from one reading to the next
    monkeypatch.setattr(capacity, "available_memory", lambda: next(free))
    report = check(dataset.root)
    problems = [(p.volume, p.message) for p in report.problems if p.kind == "unreadable"]
    assert sorted(volume for volume, _ in problems) == ["a00", "a01", "a02"]
    unreadable = dict(problems)
    assert "a00.nii.gz would take 216 TB of memory" in unreadable["a00"]
    assert "a01.nii.gz goes on behind its voxels" in unreadable["a01"]
    assert "a02.nii.gz is a link to" in unreadable["a02"]
    assert "datalad get" in unreadable["a02"]
    assert all(row.values == (0, 1, 2) for row in report.rows if row.volume in ("a03", "a04"))


def test_a_message_of_a_megabyte_is_shortened():
    problem = Problem("error", "kind", "file: " + "x" * 1_000_000 + ": remove it")
    assert len(problem.message) < 2100
    assert problem.message.startswith("file: x")
    assert problem.message.endswith("x: remove it")
