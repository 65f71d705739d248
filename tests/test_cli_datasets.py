from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fewlabel.cli import main
from fewlabel.data import Cohort


def error_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    return capsys.readouterr().err


def test_a_phantom_from_the_command_line_is_a_cohort(tmp_path: Path) -> None:
    root = tmp_path / "phantom"
    main(["phantom", "cardiac", str(root), "--cases", "6", "--seed", "2"])
    cohort = Cohort(root, labeled_cases=3)
    assert [len(part) for part in (cohort.labeled, cohort.unlabeled, cohort.validation, cohort.test)] == [3, 1, 1, 1]
    assert cohort.labels == {0: "background", 1: "right ventricle", 2: "myocardium", 3: "left ventricle"}
    assert json.loads((root / "phantom.json").read_text())["seed"] == 2


@pytest.mark.filterwarnings("ignore:.*the published lists count")
def test_acdc_from_the_command_line_is_a_cohort_of_patients(tmp_path: Path) -> None:
    voxels = np.arange(4 * 4 * 3, dtype=np.uint8).reshape(4, 4, 3) % 4
    for volume in (f"{patient}_frame0{k}" for patient in ("patient099", "patient038", "patient028") for k in (1, 2)):
        for folder in ("images", "labels"):
            path = tmp_path / "raw" / folder / f"{volume}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(voxels, np.diag([1.4, 1.4, 10, 1])), path)
    with pytest.warns(UserWarning, match="patient099_frame01 has 3 slices, but the published lists count 16"):
        main(["prepare", "acdc", str(tmp_path / "raw"), str(tmp_path / "out"), "--allow_missing", "true"])
    cohort = Cohort(tmp_path / "out", labeled_cases=1)
    assert [item["volume"] for item in cohort.labeled] == ["patient099_frame01", "patient099_frame02"]
    assert {item["case"] for item in cohort.unlabeled} == {"patient038"}
    assert not any("label" in item for item in cohort.unlabeled)
    assert len(cohort.validation) == 2


def test_what_a_user_got_wrong_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "the known phantoms are atrium, cardiac" in error_of(["phantom", "liver", str(tmp_path / "new")], capsys)
    (tmp_path / "scan.nii").touch()
    assert "is not a phantom cohort" in error_of(["phantom", "cardiac", str(tmp_path)], capsys)
    assert "the known ones are acdc" in error_of(["prepare", "brats", str(tmp_path), "out"], capsys)
    assert "holds no ACDC data" in error_of(["prepare", "acdc", str(tmp_path), str(tmp_path / "new")], capsys)
    arguments = ["prepare", "acdc", str(tmp_path), "out", "--allow_missing", "maybe"]
    assert "must be true or false" in error_of(arguments, capsys)
