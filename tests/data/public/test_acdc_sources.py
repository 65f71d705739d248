from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fewlabel.data.public.acdc_sources import find_acdc
from helpers.acdc_forms import (
    AFFINE,
    PATIENTS,
    challenge,
    frames,
    h5_slices,
    h5_volumes,
    plain_nifti,
    prepare,
    save_h5,
    save_nifti,
    scan,
)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    challenge(tmp_path / "raw")
    return tmp_path / "raw"


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


def test_a_label_map_that_lies_elsewhere_is_warned_of_and_follows_its_image(tmp_path: Path) -> None:
    plain_nifti(tmp_path / "raw")
    moved = nib.Nifti1Image(scan("patient028_frame01")[1], np.eye(4))
    nib.save(moved, tmp_path / "raw" / "labels" / "patient028_frame01.nii")
    with pytest.warns(UserWarning, match=r"patient028_frame01\.nii lies elsewhere"):
        out = prepare(tmp_path / "raw", tmp_path / "out")
    np.testing.assert_allclose(nib.load(out / "labelsTr" / "patient028_frame01.nii.gz").affine, AFFINE, atol=1e-6)


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
    with pytest.raises(ValueError, match=r"patient038_frame01 in .* lacks 1 of the slices 1 to 8 \(4\)"):
        find_acdc(tmp_path)


def split_patients(raw: Path) -> None:
    """Training patients as slices, the others as volumes, as copies in circulation are."""
    h5_slices(raw / "all")
    h5_volumes(raw / "all")
    for path in (raw / "all" / "data").glob("*.h5"):
        if path.name[:10] in ("patient038", "patient049"):
            path.unlink()
    for path in (raw / "all" / "data" / "slices").glob("*.h5"):
        if path.name[:10] not in ("patient038", "patient049"):
            path.unlink()


def test_patients_that_exist_as_slices_only_are_assembled_beside_the_others_volumes(tmp_path: Path) -> None:
    split_patients(tmp_path / "raw")
    form, sources = find_acdc(tmp_path / "raw")
    assert (form, sorted(sources)) == ("h5 volumes and slices", sorted(frames(PATIENTS)))
    for name, source in sources.items():
        image, label = scan(name)
        np.testing.assert_array_equal(source.read().image, image)
        np.testing.assert_array_equal(source.read().label, label)


def test_the_tenth_slice_follows_the_ninth(tmp_path: Path) -> None:
    for number in range(1, 12):
        plane = np.full((5, 6), number, np.float32)
        save_h5(tmp_path / f"patient038_frame01_slice_{number}.h5", plane, np.zeros((5, 6), np.uint8))
    image = find_acdc(tmp_path)[1]["patient038_frame01"].read().image
    assert image[0, 0].tolist() == list(range(1, 12))


def test_a_slice_of_another_shape_is_an_error_that_names_it(tmp_path: Path) -> None:
    split_patients(tmp_path / "raw")
    odd = np.zeros((4, 6), np.uint8)
    save_h5(tmp_path / "raw/all/data/slices/patient038_frame01_slice_3.h5", odd, odd)
    with pytest.raises(ValueError, match=r"frame01_slice_3\.h5 has the shape \(4, 6\), but patient038_frame01_slice_1"):
        prepare(tmp_path / "raw", tmp_path / "out")


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
