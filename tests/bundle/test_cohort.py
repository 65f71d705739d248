from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from fewlabel.bundle import BundleCohort, cohort
from fewlabel.data.phantoms.cohort import write_phantom


@pytest.fixture
def dataset(phantom: Path, tmp_path: Path) -> Path:
    """A hospital's dataset: two labeled and two unlabeled training cases."""
    folder = tmp_path / "hospital"
    shutil.copytree(phantom, folder)
    splits = json.loads((folder / "splits.json").read_text())
    training = splits["labeled"] + splits["unlabeled"]
    (folder / "splits.json").write_text(json.dumps({**splits, "labeled": training[:2], "unlabeled": training[2:]}))
    return folder


@pytest.fixture
def small_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the demo's phantom be six small cases."""
    monkeypatch.setattr(cohort, "write_phantom", lambda folder, kind: write_phantom(folder, kind, cases=6))


def host_items(folder: Path, count: int = 2) -> list[dict[str, Any]]:
    """Items as MONAI Label brings them: files with labels, and nothing that we know."""
    names = sorted(path.name for path in (folder / "imagesTr").iterdir())[:count]
    return [{"image": str(folder / "imagesTr" / n), "label": str(folder / "labelsTr" / n)} for n in names]


def images(items: Any) -> set[str]:
    return {Path(item["image"]).name for item in items}


def test_a_dataset_is_used_as_its_splits_say(dataset: Path, tmp_path: Path) -> None:
    cohort = BundleCohort(dataset, tmp_path / "demo")
    assert not cohort.is_demo
    assert not cohort.uses_demo(cohort.labeled)
    assert (len(cohort.labeled), len(cohort.validation)) == (2, 1)
    unlabeled = cohort.unlabeled_beside(cohort.labeled)
    assert len(unlabeled) == 2
    assert not images(unlabeled) & images(cohort.labeled)
    assert all("label" not in item for item in unlabeled)
    assert cohort.names(cohort.validation, 4)[0] == "background"
    assert cohort.names(cohort.validation, 4) == cohort.cohort.labels
    assert not (tmp_path / "demo").exists()


def test_fewer_labeled_cases_leave_more_unlabeled_ones(dataset: Path, tmp_path: Path) -> None:
    cohort = BundleCohort(dataset, tmp_path / "demo", labeled_cases=1)
    assert (len(cohort.labeled), len(cohort.unlabeled_beside(cohort.labeled))) == (1, 3)


@pytest.mark.usefixtures("small_demo")
def test_without_a_dataset_the_phantom_is_written_and_demonstrated(tmp_path: Path) -> None:
    cohort = BundleCohort(tmp_path / "demo", tmp_path / "demo", demo_labeled_cases=1)
    assert cohort.is_demo
    assert not (tmp_path / "demo").exists()
    assert len(cohort.labeled) == 1
    assert cohort.uses_demo(cohort.labeled)
    assert len(cohort.unlabeled_beside(cohort.labeled)) > 0
    assert len(BundleCohort(tmp_path / "demo", tmp_path / "demo", labeled_cases=2).labeled) == 2
    with pytest.raises(ValueError, match="labeled_cases"):
        _ = BundleCohort(tmp_path / "demo", tmp_path / "demo", labeled_cases=0).labeled


def test_a_bundle_for_volumes_demonstrates_itself_on_another_phantom(small_demo: None, tmp_path: Path) -> None:
    cohort = BundleCohort(tmp_path, tmp_path, phantom="atrium")
    assert [item["volume"] for item in cohort.labeled] == ["atrium_000", "atrium_001", "atrium_002"]
    assert cohort.names(cohort.labeled, 2) == {0: "background", 1: "left atrium"}


def test_a_hosts_items_meet_neither_demo_settings_nor_the_phantom(dataset: Path, tmp_path: Path) -> None:
    # MONAI Label sets no dataset_dir, and puts labeled items of its own in place of ours
    cohort = BundleCohort(tmp_path / "demo", tmp_path / "demo")
    labeled = host_items(dataset)
    assert not cohort.uses_demo(labeled)
    assert cohort.unlabeled_beside(labeled) == []
    assert cohort.names(labeled, 4) == {0: "background", 1: "class 1", 2: "class 2", 3: "class 3"}
    assert not (tmp_path / "demo").exists()  # nobody asked for the phantom


@pytest.mark.usefixtures("small_demo")
def test_a_hosts_items_beside_the_phantoms_are_no_demo(dataset: Path, tmp_path: Path) -> None:
    cohort = BundleCohort(tmp_path / "demo", tmp_path / "demo")
    mixed = [*cohort.labeled, *host_items(dataset, 1)]
    assert not cohort.uses_demo(mixed)
    assert cohort.unlabeled_beside(mixed) == []
    assert not cohort.uses_demo([])
    assert cohort.unlabeled_beside([]) == []


def test_a_scan_that_a_host_has_labeled_is_not_used_twice(dataset: Path, tmp_path: Path) -> None:
    cohort = BundleCohort(dataset, tmp_path / "demo")
    new = cohort.unlabeled_beside(cohort.labeled)[0]
    left = cohort.unlabeled_beside([*cohort.labeled, {"image": new["image"], "label": "/host/label.nii.gz"}])
    assert images(left) == images(cohort.unlabeled_beside(cohort.labeled)) - images([new])
    # the same scan under another name for its folder
    (tmp_path / "alias").symlink_to(dataset, target_is_directory=True)
    aliased = {"image": str(tmp_path / "alias" / "imagesTr" / Path(new["image"]).name), "label": "x.nii.gz"}
    assert cohort.unlabeled_beside([aliased]) == left


@pytest.mark.parametrize("linked", ["files", "folder", "dataset"])
def test_a_dataset_of_links_is_still_one_dataset(linked: str, dataset: Path, tmp_path: Path) -> None:
    root = tmp_path / "links"
    if linked == "dataset":
        root.symlink_to(dataset, target_is_directory=True)
    else:
        shutil.copytree(dataset, root)
        shutil.rmtree(root / "imagesTr")
        if linked == "folder":
            (root / "imagesTr").symlink_to(dataset / "imagesTr", target_is_directory=True)
        else:
            (root / "imagesTr").mkdir()
            for image in (dataset / "imagesTr").iterdir():
                (root / "imagesTr" / image.name).symlink_to(image)
    cohort = BundleCohort(root, tmp_path / "demo")
    assert len(cohort.unlabeled_beside(cohort.labeled)) == 2
    assert cohort.names(cohort.labeled, 4) == cohort.cohort.labels


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ((2, 1), r"4 classes with the background \(background, .*built for 2: set --num_classes 4, or leave it out"),
        ((4, 3), r"1 channels \(.*\), but the network is built for 3: set --in_channels 1, or leave it out"),
    ],
)
def test_numbers_that_are_not_the_datasets_are_errors_with_the_cure(
    dataset: Path, tmp_path: Path, counts: tuple[int, int], message: str
) -> None:
    cohort = BundleCohort(dataset, tmp_path / "demo")
    with pytest.raises(ValueError, match=message):
        cohort.settings(cohort.labeled, PAPER, DEMO, tmp_path, *counts)


def test_classes_and_channels_follow_from_the_dataset(dataset: Path, tmp_path: Path) -> None:
    cohort = BundleCohort(dataset, tmp_path / "demo")
    assert cohort.count_classes(cohort.labeled, tmp_path, noted(tmp_path / "models", num_classes=9)) == 4
    assert cohort.count_channels(cohort.labeled) == 1
    assert cohort.ignored_value(cohort.labeled) is None
    description = json.loads((dataset / "dataset.json").read_text())
    description["labels"] = {"background": 0, "right": 1, "wall": 2, "ignore": 3}
    (dataset / "dataset.json").write_text(json.dumps(description))
    cohort = BundleCohort(dataset, tmp_path / "demo")
    assert cohort.count_classes(cohort.labeled, tmp_path, tmp_path) == 3
    assert cohort.ignored_value(cohort.labeled) == 3


def described(root: Path, classes: Any) -> Path:
    (root / "configs").mkdir(parents=True)
    content = {"network_data_format": {"outputs": {"pred": {"num_channels": classes}}}}
    (root / "configs" / "metadata.json").write_text(json.dumps(content))
    return root


def test_a_hosts_classes_are_those_of_its_weights_else_those_of_the_metadata(dataset: Path, tmp_path: Path) -> None:
    cohort, labeled = BundleCohort(tmp_path / "demo", tmp_path / "demo"), host_items(dataset)
    bundle = described(tmp_path / "bundle", 5)
    assert cohort.count_classes(labeled, bundle, tmp_path / "models") == 5
    assert cohort.count_classes(labeled, bundle, noted(tmp_path / "models", num_classes=3)) == 3
    assert cohort.ignored_value(labeled) is None
    assert not (tmp_path / "demo").exists()


@pytest.mark.parametrize("classes", [None, "4", 1])
def test_metadata_that_name_no_number_of_classes_are_an_error_with_the_cure(
    dataset: Path, tmp_path: Path, classes: Any
) -> None:
    cohort = BundleCohort(tmp_path / "demo", tmp_path / "demo")
    with pytest.raises(ValueError, match=r"metadata\.json: .* has no num_channels of 2 or more, .*set --num_classes"):
        cohort.count_classes(host_items(dataset), described(tmp_path / "bundle", classes), tmp_path)


def test_a_hosts_channels_are_those_of_its_first_image(tmp_path: Path) -> None:
    cohort = BundleCohort(tmp_path / "demo", tmp_path / "demo")
    nib.save(nib.Nifti1Image(np.ones((4, 4, 2, 3), np.uint8), np.eye(4)), tmp_path / "three.nii.gz")
    images = (str(tmp_path / "three.nii.gz"), ["a_0000.nii.gz", "a_0001.nii.gz"], [f"{n}.dcm" for n in range(9)])
    assert [cohort.count_channels([{"image": image}]) for image in images] == [3, 2, 1]


@pytest.mark.parametrize("nothing", ["", None])
def test_an_empty_dataset_dir_is_an_error_with_the_cure(nothing: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="dataset_dir is empty; name the dataset's folder, or leave it out"):
        BundleCohort(nothing, tmp_path / "demo")


def test_a_dataset_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="missing"):
        _ = BundleCohort(tmp_path / "missing", tmp_path / "demo").labeled


def test_scoring_takes_the_test_split_where_there_is_one(dataset: Path, tmp_path: Path) -> None:
    cohort = BundleCohort(dataset, tmp_path / "demo")
    assert cohort.scored("auto") == cohort.scored("test") == cohort.cohort.test
    assert cohort.scored("validation") == cohort.validation
    with pytest.raises(ValueError, match='split must be "auto", "test" or "validation", got \'all\''):
        cohort.scored("all")
    splits = json.loads((dataset / "splits.json").read_text())
    (dataset / "splits.json").write_text(json.dumps({**splits, "test": []}))
    untested = BundleCohort(dataset, tmp_path / "demo")
    assert untested.scored("auto") == untested.validation
    with pytest.raises(ValueError, match=r"has no labeled test case to score; list some in splits\.json"):
        untested.scored("test")


def test_what_is_trained_on_is_told(dataset: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="fewlabel"):
        _ = BundleCohort(dataset, tmp_path / "demo").labeled
    assert "2 labeled and 2 unlabeled volumes for training, 1 for validation, 1 for test" in caplog.text


PAPER = {"size": 224, "norm": "batch", "steps": 40000}
DEMO = {"size": 64, "norm": "instance", "steps": 400}


def noted(folder: Path, **settings: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.json").write_text(json.dumps(settings))
    return folder


def test_a_dataset_trains_with_the_papers_settings_and_the_phantom_with_the_demos(
    dataset: Path, tmp_path: Path, small_demo: None
) -> None:
    before = noted(tmp_path / "models", size=64, norm="instance", num_classes=4)  # an earlier training run's: no matter
    cohort = BundleCohort(dataset, tmp_path / "demo")
    assert cohort.settings(cohort.labeled, PAPER, DEMO, before, 4) is PAPER
    cohort = BundleCohort(tmp_path / "demo", tmp_path / "demo")
    assert cohort.settings(cohort.labeled, PAPER, DEMO, before, 4) is DEMO


@pytest.mark.parametrize(
    ("note", "chosen"),
    [
        (None, PAPER),
        ({"size": 224, "norm": "batch", "num_classes": 4}, PAPER),
        ({"size": 64, "norm": "instance", "num_classes": 4}, DEMO),
        ({"size": 64, "norm": "instance", "num_classes": 4, "in_channels": 1}, DEMO),
    ],
)
def test_a_host_goes_on_with_the_settings_of_the_weights_that_are_there(
    phantom: Path, tmp_path: Path, note: dict[str, Any] | None, chosen: dict[str, Any]
) -> None:
    models = tmp_path / "models" if note is None else noted(tmp_path / "models", **note)
    cohort = BundleCohort(tmp_path / "demo", tmp_path / "demo")
    assert cohort.settings(host_items(phantom), PAPER, DEMO, models, 4) is chosen
    assert not (tmp_path / "demo").exists()


@pytest.mark.parametrize(
    "note",
    [
        {"size": 96, "norm": "batch", "num_classes": 4},
        {"size": 224, "norm": "batch", "num_classes": 2},
        {"size": 224, "norm": "batch", "num_classes": 4, "in_channels": 2},
    ],
)
def test_a_host_is_refused_to_go_on_from_weights_of_other_settings(
    phantom: Path, tmp_path: Path, note: dict[str, Any]
) -> None:
    cohort = BundleCohort(tmp_path / "demo", tmp_path / "demo")
    fix = r"model\.json: the weights .* goes on .*'size': 224, .*; write their values into train\.json"
    with pytest.raises(ValueError, match=fix):
        cohort.settings(host_items(phantom), PAPER, DEMO, noted(tmp_path / "models", **note), 4)


def test_a_host_does_not_go_on_with_other_intensities_than_the_weights_know(phantom: Path, tmp_path: Path) -> None:
    window = {"mode": "window", "low": -160, "high": 240}
    models = noted(tmp_path / "models", size=224, norm="batch", num_classes=4, intensity=window)
    cohort = BundleCohort(tmp_path / "demo", tmp_path / "demo")
    with pytest.raises(
        ValueError, match=r'write their values into train\.json \("num_classes", "in_channels", "intensity", "paper"\)'
    ):
        cohort.settings(host_items(phantom), PAPER, DEMO, models, 4, intensity={"mode": "minmax"})
    found = cohort.settings(host_items(phantom), PAPER, DEMO, models, 4, intensity=window)
    assert found == {**PAPER, "intensity": window}


def test_what_mirrors_is_said_in_three_words(dataset: Path, tmp_path: Path) -> None:
    cohort = BundleCohort(dataset, tmp_path / "demo")
    assert cohort.mirrors(cohort.labeled, 4)
    assert not cohort.mirrors(cohort.labeled, 4, False)
    with pytest.raises(ValueError, match="mirror must be \"auto\", true or false, got 'never'"):
        cohort.mirrors(cohort.labeled, 4, "never")
