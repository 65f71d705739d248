from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from fewlabel.data.acdc import acdc_splits, prepare_acdc
from fewlabel.data.acdc_sources import find_acdc

h5py = pytest.importorskip("h5py")

# Two training patients in published order (8 and 7 slices per frame), one for validation, one for the test.
PATIENTS = {"patient049": 7, "patient038": 8, "patient028": 3, "patient011": 3}
AFFINE = np.array([[-1.4, 0, 0, 10], [0, -1.4, 0, 20], [0, 0, 9.0, 30], [0, 0, 0, 1]])


def scan(name: str) -> tuple[np.ndarray, np.ndarray]:
    """An image of 6 x 5 voxels in plane whose values tell the volume, and a label map with every class."""
    shape = (6, 5, PATIENTS[name[:10]])
    rng = np.random.default_rng(int(name[7:10]) * 10 + int(name[-1]))
    label = rng.integers(0, 4, shape).astype(np.uint8)
    return rng.integers(0, 900, shape).astype(np.int16), label


def frames(patients: dict[str, int]) -> list[str]:
    return [f"{patient}_frame0{frame}" for patient in patients for frame in (1, 2)]


def save_nifti(path: Path, voxels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(voxels, AFFINE), path)


def challenge(raw: Path, inside: str = "database/training") -> None:
    for name in frames(PATIENTS):
        patient = raw / inside / name[:10]
        frame = {"1": "01", "2": "09"}[name[-1]]
        for suffix, voxels in zip(("", "_gt"), scan(name), strict=True):
            save_nifti(patient / f"{name[:10]}_frame{frame}{suffix}.nii.gz", voxels)
        save_nifti(patient / f"{name[:10]}_4d.nii.gz", np.zeros((6, 5, 3, 2), np.int16))
        (patient / "Info.cfg").write_text("ED: 1\nES: 9\nGroup: DCM\nHeight: 180.0\nNbFrame: 30\n")


def plain_nifti(raw: Path) -> None:
    for name in frames(PATIENTS):
        for folder, voxels in zip(("images", "labels"), scan(name), strict=True):
            save_nifti(raw / folder / f"{name}.nii", voxels)


def save_h5(path: Path, image: np.ndarray, label: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["image"], file["label"] = image, label


def h5_volumes(raw: Path) -> None:
    for name in frames(PATIENTS):
        image, label = scan(name)
        save_h5(raw / "data" / f"{name}.h5", image.T.astype(np.float32), label.T)


def h5_slices(raw: Path) -> None:
    for name in frames(PATIENTS):
        image, label = scan(name)
        for k in range(image.shape[2]):
            # ten and more slices would come before the second in alphabetical order
            save_h5(raw / "data" / "slices" / f"{name}_slice_{k + 1}.h5", image[..., k].T, label[..., k].T)


FORMS = {"challenge": challenge, "nifti": plain_nifti, "h5 volumes": h5_volumes, "h5 slices": h5_slices}


def quiet(line: str) -> None:
    pass


def prepare(raw: Path, out: Path, report: Callable[[str], None] = quiet) -> Path:
    return prepare_acdc(raw, out, allow_missing=True, report=report)


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def modified(root: Path) -> dict[str, int]:
    return {path.name + path.parent.name: path.stat().st_mtime_ns for path in root.rglob("*.nii.gz")}


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


@pytest.mark.parametrize("inside", [".", "training", "database/training"])
def test_the_patients_may_lie_at_any_depth(inside: str, tmp_path: Path) -> None:
    challenge(tmp_path, inside)
    form, sources = find_acdc(tmp_path)
    assert (form, sorted(sources)) == ("challenge", sorted(frames(PATIENTS)))


def test_end_diastole_is_the_first_frame_even_when_its_number_is_higher(raw: Path) -> None:
    patient = raw / "database/training/patient049"
    (patient / "Info.cfg").write_text("ED: 9\nES: 1\n")
    sources = find_acdc(raw)[1]
    assert sources["patient049_frame01"].files[0].name == "patient049_frame09.nii.gz"
    assert sources["patient049_frame01"].note == "frame 9, ED"
    (patient / "Info.cfg").unlink()  # the order of the numbers is all there is
    assert find_acdc(raw)[1]["patient049_frame01"].files[0].name == "patient049_frame01.nii.gz"


def test_the_manifest_holds_the_checksum_and_source_of_every_file(raw: Path, tmp_path: Path) -> None:
    out = prepare(raw, tmp_path / "out")
    files = json.loads((out / "manifest.json").read_text())["files"]
    written = {name: content for name, content in contents(out).items() if name != "manifest.json"}
    assert {name: entry["sha256"] for name, entry in files.items()} == {
        name: hashlib.sha256(content).hexdigest() for name, content in written.items()
    }
    assert files["imagesTr/patient038_frame02.nii.gz"]["source"] == [
        "database/training/patient038/patient038_frame09.nii.gz",
        "database/training/patient038/patient038_frame09_gt.nii.gz",
    ]
    assert str(tmp_path) not in (out / "manifest.json").read_text()


def test_a_second_run_verifies_and_writes_nothing_again(raw: Path, tmp_path: Path) -> None:
    out = prepare(raw, tmp_path / "out")
    before, times, lines = contents(out), modified(out), []
    prepare(raw, out, lines.append)
    assert contents(out) == before
    assert modified(out) == times
    assert sum("finished before, verified" in line for line in lines) == 8


def test_an_interrupted_run_continues_and_ends_like_one_that_was_not(raw: Path, tmp_path: Path) -> None:
    whole = contents(prepare(raw, tmp_path / "whole"))

    def stop(line: str) -> None:
        if line.startswith("patient049_frame01"):
            raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        prepare(raw, out, stop)
    assert not (out / "splits.json").exists()  # nobody mistakes it for a dataset
    (out / "imagesTr" / ".patient049_frame02.nii.gz.1.partial").write_bytes(b"half")
    times = modified(out)
    prepare(raw, out)
    assert contents(out) == whole
    assert modified(out).items() >= times.items()


@pytest.mark.parametrize("damage", ["deleted", "corrupted", "forgotten", "source changed"])
def test_only_what_is_missing_or_damaged_is_written_again(damage: str, raw: Path, tmp_path: Path) -> None:
    out = prepare(raw, tmp_path / "out")
    before, times = contents(out), modified(out)
    victim = out / "imagesTr" / "patient038_frame01.nii.gz"
    if damage == "deleted":
        victim.unlink()
    elif damage == "corrupted":
        victim.write_bytes(victim.read_bytes()[:-9])
    elif damage == "forgotten":
        manifest = json.loads((out / "manifest.json").read_text())
        del manifest["files"]["imagesTr/patient038_frame01.nii.gz"]
        (out / "manifest.json").write_text(json.dumps(manifest))
    else:
        image = scan("patient038_frame01")[0] + 1
        save_nifti(raw / "database/training/patient038/patient038_frame01.nii.gz", image)
    prepare(raw, out)
    again = {name for name, time in modified(out).items() if time != times[name]}
    assert again == {"patient038_frame01.nii.gzimagesTr", "patient038_frame01.nii.gzlabelsTr"}
    if damage == "source changed":
        np.testing.assert_array_equal(np.asarray(nib.load(victim).dataobj), image)
    else:
        assert {k: v for k, v in contents(out).items() if k != "manifest.json"} == {
            k: v for k, v in before.items() if k != "manifest.json"
        }


def test_a_damaged_manifest_means_that_everything_is_written_again(raw: Path, tmp_path: Path) -> None:
    out = prepare(raw, tmp_path / "out")
    before, lines = contents(out), []
    (out / "manifest.json").write_bytes(before["manifest.json"][:100])
    prepare(raw, out, lines.append)
    assert contents(out) == before
    assert any("manifest.json is damaged" in line for line in lines)


def test_missing_frames_are_an_error_that_names_them_and_the_way_out(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"lacks 192 frames.*patient099_frame01 \(labeled\).*--allow_missing true"
    ):
        prepare_acdc(raw, tmp_path / "out", report=quiet)
    assert not (tmp_path / "out").exists()


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


def test_a_label_map_that_lies_elsewhere_is_warned_of_and_follows_its_image(tmp_path: Path) -> None:
    plain_nifti(tmp_path / "raw")
    moved = nib.Nifti1Image(scan("patient028_frame01")[1], np.eye(4))
    nib.save(moved, tmp_path / "raw" / "labels" / "patient028_frame01.nii")
    with pytest.warns(UserWarning, match=r"patient028_frame01\.nii lies elsewhere"):
        out = prepare(tmp_path / "raw", tmp_path / "out")
    np.testing.assert_allclose(nib.load(out / "labelsTr" / "patient028_frame01.nii.gz").affine, AFFINE, atol=1e-6)


def test_complete_data_bring_no_warning(raw: Path, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prepare(raw, tmp_path / "out")


def wrong_shape(raw: Path) -> None:
    save_nifti(raw / "database/training/patient038/patient038_frame01_gt.nii.gz", np.zeros((6, 5, 3), np.uint8))


def wrong_values(raw: Path) -> None:
    save_nifti(raw / "database/training/patient038/patient038_frame01_gt.nii.gz", np.full((6, 5, 8), 7, np.uint8))


def truncated(raw: Path) -> None:
    path = raw / "database/training/patient038/patient038_frame01.nii.gz"
    path.write_bytes(path.read_bytes()[:60])


def without_image(raw: Path) -> None:
    (raw / "database/training/patient038/patient038_frame01.nii.gz").unlink()


def without_annotation(raw: Path) -> None:
    (raw / "database/training/patient038/patient038_frame09_gt.nii.gz").unlink()


def without_annotation_and_record(raw: Path) -> None:
    without_annotation(raw)
    (raw / "database/training/patient038/Info.cfg").unlink()


def without_phases(raw: Path) -> None:
    (raw / "database/training/patient038/Info.cfg").write_text("ED: 1\n")


def twice(raw: Path) -> None:
    challenge(raw, "training")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            wrong_shape,
            r"patient038_frame01\.nii\.gz: the image has the shape \(6, 5, 8\) and the label map \(6, 5, 3\)",
        ),
        (wrong_values, r"patient038_frame01_gt\.nii\.gz: the label map holds \[7\], but only 0 to 3"),
        (truncated, r"cannot read .*patient038_frame01\.nii\.gz .*download it again"),
        (without_image, r"patient038_frame01_gt\.nii\.gz has no image beside it"),
        (without_annotation, r"Info\.cfg names frame 9 as ES, but .*patient038 has annotations of \[1\] only"),
        (without_annotation_and_record, r"patient038 holds 1 annotated frames \[1\], but ACDC annotates two"),
        (without_phases, r"Info\.cfg does not name the frames"),
        (twice, r"patient\d+_frame0\d is there twice"),
    ],
)
def test_damaged_sources_are_errors_that_name_the_file(
    damage: Callable[[Path], None], message: str, raw: Path, tmp_path: Path
) -> None:
    damage(raw)
    with pytest.raises(ValueError, match=message):
        prepare(raw, tmp_path / "out")
    assert not (tmp_path / "out" / "splits.json").exists()


def test_a_missing_slice_is_an_error(tmp_path: Path) -> None:
    h5_slices(tmp_path)
    (tmp_path / "data/slices/patient038_frame01_slice_4.h5").unlink()
    with pytest.raises(ValueError, match=r"patient038_frame01 lacks the slices \[4\] of 1 to 8"):
        find_acdc(tmp_path)


def test_a_label_map_that_is_absent_is_an_error(tmp_path: Path) -> None:
    plain_nifti(tmp_path)
    (tmp_path / "labels" / "patient038_frame01.nii").unlink()
    with pytest.raises(ValueError, match=r"patient038_frame01\.nii has no label map"):
        find_acdc(tmp_path)


def test_a_folder_without_acdc_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no ACDC data: expected patientXXX"):
        prepare(tmp_path, tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        prepare(tmp_path / "absent", tmp_path / "out")


def test_the_output_never_mixes_with_other_files(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the same folder"):
        prepare(raw, raw)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").touch()
    with pytest.raises(FileExistsError, match=r"is not empty and holds no manifest\.json"):
        prepare(raw, tmp_path / "full")
    (tmp_path / "full" / "manifest.json").write_text('{"dataset": "Synapse", "files": {}}')
    with pytest.raises(FileExistsError, match="holds the dataset 'Synapse', not 'ACDC'"):
        prepare(raw, tmp_path / "full")


def test_volumes_of_an_earlier_run_with_more_patients_are_an_error(raw: Path, tmp_path: Path) -> None:
    out = prepare(raw, tmp_path / "out")
    for path in (raw / "database/training/patient038").iterdir():
        path.unlink()
    with pytest.raises(FileExistsError, match=r"holds 2 volumes that .* does not have \(patient038_frame01"):
        prepare(raw, out)


@pytest.mark.parametrize("allow_missing", ["true", 1])
def test_allow_missing_is_a_truth_value(allow_missing: Any, raw: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="allow_missing is"):
        prepare_acdc(raw, tmp_path / "out", allow_missing=allow_missing)
