from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fewlabel.data.phantoms.cohort import PHANTOMS, phantom_splits, write_phantom
from fewlabel.data.phantoms.heart import PhantomCase, cardiac_case


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_phantom(tmp_path_factory.mktemp("phantom") / "cohort", cases=6, seed=3)


def test_the_same_seed_gives_the_same_bytes(cohort: Path, tmp_path: Path) -> None:
    assert files(write_phantom(tmp_path / "again", cases=6, seed=3)) == files(cohort)


def test_a_case_depends_on_seed_and_index_but_not_on_the_number_of_cases(cohort: Path, tmp_path: Path) -> None:
    small = files(write_phantom(tmp_path / "small", cases=3, seed=3))
    large = files(cohort)
    assert small["imagesTr/cardiac_000.nii.gz"] == large["imagesTr/cardiac_000.nii.gz"]
    # The third case is a test case of the small cohort and a training case of the large one.
    assert small["labelsTs/cardiac_002.nii.gz"] == large["labelsTr/cardiac_002.nii.gz"]


def test_another_seed_gives_other_scans(cohort: Path, tmp_path: Path) -> None:
    other = files(write_phantom(tmp_path / "other", cases=6, seed=4))
    assert all(other[name] != content for name, content in files(cohort).items() if name.startswith("images"))


def test_the_folder_is_a_dataset_in_our_layout(cohort: Path) -> None:
    splits = json.loads((cohort / "splits.json").read_text())
    assert [len(splits[part]) for part in ("labeled", "unlabeled", "validation", "test")] == [4, 0, 1, 1]
    assert json.loads((cohort / "dataset.json").read_text())["numTraining"] == 5
    names = {part: {path.name for path in (cohort / part).iterdir()} for part in ("imagesTr", "imagesTs")}
    assert names["imagesTr"] == {f"{case}.nii.gz" for case in splits["labeled"] + splits["validation"]}
    assert names["imagesTs"] == {f"{case}.nii.gz" for case in splits["test"]}
    for part in ("Tr", "Ts"):
        for path in (cohort / f"images{part}").iterdir():
            image, label = nib.load(path), nib.load(cohort / f"labels{part}" / path.name)
            assert image.shape == label.shape
            np.testing.assert_array_equal(image.affine, label.affine)
            assert (image.get_data_dtype(), label.get_data_dtype()) == (np.int16, np.uint8)


@pytest.mark.parametrize("cases", [3, 4, 7, 24, 50])
def test_splits_are_disjoint_complete_and_never_empty(cases: int) -> None:
    names = [str(index) for index in range(cases)]
    splits = phantom_splits(names)
    used = [splits["labeled"], splits["validation"], splits["test"]]
    assert all(used)
    assert all(not set(a) & set(b) for a, b in combinations(used, 2))
    assert [name for part in used for name in part] == names


def test_the_recorded_geometry_is_the_drawn_one(cohort: Path) -> None:
    case = cardiac_case(np.random.default_rng([3, 0]))
    stored = nib.load(cohort / "imagesTr" / "cardiac_000.nii.gz")
    np.testing.assert_allclose(stored.header.get_zooms(), case.spacing, rtol=1e-6)
    np.testing.assert_array_equal(np.asarray(stored.dataobj), case.image)


def test_an_identical_phantom_is_left_as_it_is(cohort: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in cohort.rglob("*")}
    assert write_phantom(cohort, cases=6, seed=3) == cohort
    assert {path: path.stat().st_mtime_ns for path in cohort.rglob("*")} == before


def test_an_empty_folder_is_filled_and_nothing_else_is_left_behind(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    write_phantom(tmp_path / "root", cases=3)
    assert [path.name for path in tmp_path.iterdir()] == ["root"]


def test_an_interrupted_run_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(rng: np.random.Generator) -> PhantomCase:
        raise KeyboardInterrupt

    monkeypatch.setitem(PHANTOMS, "broken", PHANTOMS["cardiac"].__class__(broken, {"background": 0}, ""))
    with pytest.raises(KeyboardInterrupt):
        write_phantom(tmp_path / "root", kind="broken")
    assert list(tmp_path.iterdir()) == []


def test_another_phantom_in_the_folder_is_an_error(cohort: Path) -> None:
    with pytest.raises(FileExistsError, match=r"holds the phantom .*'seed': 3.* not .*'seed': 5"):
        write_phantom(cohort, cases=6, seed=5)


def test_foreign_files_in_the_folder_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "scan.nii").touch()
    with pytest.raises(FileExistsError, match="is not a phantom cohort"):
        write_phantom(tmp_path)


def test_a_damaged_record_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "phantom.json").write_text("{")
    with pytest.raises(FileExistsError, match=r"phantom\.json is not readable JSON"):
        write_phantom(tmp_path)


def test_an_unknown_kind_is_an_error_that_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"kind is 'liver'.* cardiac"):
        write_phantom(tmp_path, kind="liver")


@pytest.mark.parametrize("cases", [2, 0, -1, 2.5, True])
def test_too_few_cases_are_an_error(tmp_path: Path, cases: int) -> None:
    with pytest.raises(ValueError, match="3 or more"):
        write_phantom(tmp_path, cases=cases)


@pytest.mark.parametrize("seed", [-1, 0.5])
def test_a_bad_seed_is_an_error(tmp_path: Path, seed: int) -> None:
    with pytest.raises(ValueError, match="seed is"):
        write_phantom(tmp_path, seed=seed)
