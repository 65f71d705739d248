from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import monai.bundle
import nibabel as nib
import numpy as np
import pytest
import torch

from fewlabel.networks import UNet
from helpers.bundle_runs import Trained, places, tiny, undisturbed, workflow
from helpers.bundles import BASELINES, config

# the stanzas that meet a user's data are the same in all bundles, see test_shared_stanzas
BUNDLE = BASELINES["slices"]


@pytest.fixture
def data(phantom: Path, tmp_path: Path) -> Path:
    """A dataset that the test spoils."""
    return shutil.copytree(phantom, tmp_path / "data")


Complain = Callable[..., str]


@pytest.fixture
def complaint(capsys: pytest.CaptureFixture[str]) -> Complain:
    """Run the bundle and return the last line that a user sees of the error."""

    def run(*names: str, **overrides: Any) -> str:
        made = workflow(BUNDLE, *names, **overrides)
        with undisturbed():
            made.initialize()
            with pytest.raises(Exception) as info:  # noqa: PT011 - whatever it is, its last line is checked
                made.run()
            sys.excepthook(info.type, info.value, info.tb)
        last = capsys.readouterr().err.rstrip().splitlines()[-1]
        assert last.startswith("fewlabel: error: ")
        return last

    return run


@pytest.fixture
def training(complaint: Complain, tmp_path: Path) -> Complain:
    """Train on a folder, and return the last line of the error."""

    def run(data: Path, **overrides: Any) -> str:
        settings = {"dataset_dir": str(data), **places(tmp_path), **tiny(BUNDLE, steps=1, steps_per_epoch=1)}
        return complaint("train", **{**settings, **overrides})

    return run


def rewrite(path: Path, change: Callable[[np.ndarray], np.ndarray], affine: np.ndarray | None = None) -> Path:
    volume = nib.load(path)
    array = change(np.array(volume.dataobj))
    nib.save(nib.Nifti1Image(array, volume.affine if affine is None else affine), path)
    return path


def says(line: str, *parts: str | Path) -> None:
    for part in parts:
        assert re.search(str(part), line)


def test_a_dataset_that_is_not_there_is_named(training: Complain, tmp_path: Path) -> None:
    says(training(tmp_path / "nowhere"), tmp_path / "nowhere")


def test_an_empty_folder_is_no_dataset(training: Complain, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    says(training(tmp_path / "empty"), tmp_path / "empty" / "dataset.json", "does not exist")


def test_a_dataset_without_a_labeled_case_cannot_train(data: Path, training: Complain, tmp_path: Path) -> None:
    shutil.rmtree(data / "labelsTr")
    (data / "labelsTr").mkdir()
    (data / "splits.json").unlink()
    says(training(data), data, "label")


def test_more_labeled_cases_than_there_are_is_an_error_that_counts_them(
    data: Path, training: Complain, tmp_path: Path
) -> None:
    says(training(data, labeled_cases=99), "labeled_cases is 99, but 4 labeled cases can train")


def test_a_label_value_that_is_no_class_is_named_with_its_file(data: Path, training: Complain, tmp_path: Path) -> None:
    path = rewrite(data / "labelsTr" / "cardiac_001.nii.gz", lambda label: np.where(label == 3, 7, label))
    says(training(data), path, r"label values \[7", "dataset.json")


def test_a_label_of_another_shape_is_refused(data: Path, training: Complain, tmp_path: Path) -> None:
    path = rewrite(data / "labelsTr" / "cardiac_000.nii.gz", lambda label: label[:-1])
    says(training(data), path, "shape", "resample")


def test_a_label_that_lies_elsewhere_is_refused(data: Path, training: Complain, tmp_path: Path) -> None:
    path = data / "labelsTr" / "cardiac_000.nii.gz"
    affine = nib.load(path).affine.copy()
    affine[0, 3] += 20
    rewrite(path, lambda label: label, affine)
    says(training(data), path, "affines differ by up to 20", "resample")


def test_a_truncated_scan_is_named(data: Path, training: Complain, tmp_path: Path) -> None:
    path = data / "imagesTr" / "cardiac_002.nii.gz"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    says(training(data), path)


@pytest.mark.parametrize(
    ("split", "at"), [("labeled", 0), ("labeled", -1), ("validation", 0)], ids=["labeled", "unlabeled", "validation"]
)
def test_a_scan_whose_voxels_end_early_is_named(
    data: Path, training: Complain, tmp_path: Path, split: str, at: int
) -> None:
    case = json.loads((data / "splits.json").read_text())[split][at]
    path = data / "imagesTr" / f"{case}.nii.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-100]))
    says(training(data, labeled_cases=1), path)


def test_a_case_in_two_splits_is_named(data: Path, training: Complain, tmp_path: Path) -> None:
    splits = json.loads((data / "splits.json").read_text())
    splits["validation"].append(splits["labeled"][0])
    (data / "splits.json").write_text(json.dumps(splits))
    says(training(data), "cardiac_000", "labeled", "validation")


def test_nan_in_a_scan_is_counted_and_its_file_named(data: Path, training: Complain, tmp_path: Path) -> None:
    def spoil(image: np.ndarray) -> np.ndarray:
        image = image.astype(np.float32)
        image[0, 0, 0] = np.nan
        return image

    path = rewrite(data / "imagesTr" / "cardiac_003.nii.gz", spoil)
    says(training(data), path, r"1 of \d+ voxels are NaN")


def test_a_network_for_another_number_of_classes_is_an_error_with_its_cure(
    data: Path, training: Complain, tmp_path: Path
) -> None:
    says(training(data, num_classes=3), "has 4 classes", "--num_classes 4")


def test_a_file_in_the_place_of_the_output_folder_is_named(data: Path, training: Complain, tmp_path: Path) -> None:
    (tmp_path / "eval").write_text("in the way")
    says(training(data), tmp_path / "eval")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_read_only_is_named(data: Path, training: Complain, tmp_path: Path) -> None:
    (tmp_path / "eval").mkdir(mode=0o555)
    says(training(data), tmp_path / "eval")


@pytest.mark.parametrize("trained", [BUNDLE], indirect=True)
def test_weights_of_another_architecture_are_refused(
    trained: Trained, complaint: Complain, phantom: Path, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    models.mkdir()
    torch.save(UNet(num_classes=7, norm="instance").state_dict(), models / "model.pt")
    shutil.copy(trained.folder / "models" / "model.json", models)
    expected = (models / "model.pt", "another architecture than UNet", "--num_classes")
    says(complaint("train", "evaluate", dataset_dir=str(phantom), **places(tmp_path), **tiny(BUNDLE)), *expected)
    says(
        complaint(
            "inference",
            dataset_dir=str(phantom),
            checkpoint=str(models / "model.pt"),
            output_dir=str(tmp_path / "segmentations"),
        ),
        *expected,
    )
    assert not (tmp_path / "segmentations").exists()


def test_evaluation_and_inference_before_training_say_so(complaint: Complain, phantom: Path, tmp_path: Path) -> None:
    settings = {"dataset_dir": str(phantom), **places(tmp_path), **tiny(BUNDLE)}
    says(complaint("train", "evaluate", **settings), tmp_path / "models" / "model.pt", "train first")
    checkpoint = tmp_path / "models" / "model.pt"
    says(
        complaint("inference", dataset_dir=str(phantom), checkpoint=str(checkpoint), output_dir=str(tmp_path / "out")),
        checkpoint,
        "train first",
    )


def test_inference_on_a_folder_without_scans_says_what_it_looked_for(complaint: Complain, tmp_path: Path) -> None:
    checkpoint = tmp_path / "model.pt"
    torch.save(UNet().state_dict(), checkpoint)
    (tmp_path / "scans").mkdir()
    error = complaint("inference", dataset_dir=str(tmp_path / "scans"), checkpoint=str(checkpoint))
    says(error, tmp_path / "scans", "no scan in it", ".nii.gz")


@pytest.mark.parametrize(
    "names", [("train",), ("train", "evaluate"), ("train", "multi_gpu_train"), ("inference",)], ids=" and ".join
)
def test_a_misspelled_setting_is_refused_before_any_work(
    names: tuple[str, ...], complaint: Complain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = str([str(config(BUNDLE, name)) for name in names])
    typed = {"output_dir": str(tmp_path / "eval"), "devcie": "cpu"}
    words = [word for key, value in typed.items() for word in (f"--{key}", value)]
    monkeypatch.setattr(
        sys, "argv", [str(Path(monai.bundle.__file__).with_name("__main__.py")), "run", "--config_file", files, *words]
    )
    last = complaint(*names, **typed)
    assert last == "fewlabel: error: --devcie is no setting of these configs, the nearest is --device; nothing was run"
    assert not list(tmp_path.iterdir())


def test_what_a_user_got_wrong_is_the_only_line_on_stderr(tmp_path: Path) -> None:
    done = mistaken(tmp_path)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("fewlabel: error: ")
    assert str(tmp_path / "nowhere") in line


@pytest.mark.slow
def test_the_traceback_of_what_a_user_got_wrong_can_be_printed(tmp_path: Path) -> None:
    done = mistaken(tmp_path, "--traceback", "true")
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert "Traceback (most recent call last):" in lines
    assert str(tmp_path / "nowhere") in lines[-1]


def mistaken(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Train on a dataset that is not there."""
    command = [sys.executable, "-W", "ignore", "-m", "monai.bundle", "run", "--config_file"]
    words = ["--dataset_dir", str(folder / "nowhere"), "--output_dir", str(folder / "eval"), *options]
    return subprocess.run(
        [*command, str(config(BUNDLE, "train")), *words], cwd=folder, capture_output=True, text=True, check=False
    )
