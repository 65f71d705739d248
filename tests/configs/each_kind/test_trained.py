"""What a training leaves, where, and what hosts do with it, in one bundle of each form or network."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from monai.bundle import ConfigParser, ConfigWorkflow, verify_net_in_out

from helpers.bundle_runs import (
    Trained,
    block,
    places,
    run,
    tiny,
    tree,
    undisturbed,
    working_in,
)
from helpers.bundles import (
    ONE_OF_EACH_FORM,
    ONE_OF_EACH_KIND,
    ONE_OF_EACH_NETWORK_TRAINED,
    classes_of,
    config,
    phantom_of,
    read_json,
)
from helpers.paths import ROOT


def history(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "eval" / "history.jsonl").read_text().splitlines()]


def items(folder: Path, volumes: int) -> list[dict[str, str]]:
    """What a host such as MONAI Label lists: pairs of files, nothing else."""
    images = sorted((folder / "imagesTr").iterdir())[:volumes]
    return [{"image": str(image), "label": str(folder / "labelsTr" / image.name)} for image in images]


def test_training_leaves_weights_scores_and_a_report(trained: Trained) -> None:
    for name in ("model.pt", "model.json", "model_last.pt", "training_state.pt"):
        assert (trained.folder / "models" / name).stat().st_size > 0
    for name in ("scores.csv", "summary.txt", "report.html", "cases.png", "history.jsonl"):
        assert (trained.folder / "eval" / name).stat().st_size > 0


def test_training_writes_nowhere_else(trained: Trained) -> None:
    assert trained.strays == []


def test_training_used_the_unlabeled_scans_but_never_their_labels(trained: Trained) -> None:
    parser = trained.workflow.parser
    kind = phantom_of(trained.bundle)
    labeled = parser.get_parsed_content("train#dataset")
    assert [item["volume"] for item in labeled.data] == [f"{kind}_000", f"{kind}_001"]
    unlabeled = parser.get_parsed_content("train#unlabeled_dataset")
    assert [item["volume"] for item in unlabeled.data] == [f"{kind}_002", f"{kind}_003"]
    assert not any("label" in item for item in unlabeled.data)


def test_a_dataset_is_trained_on_with_the_papers_settings(trained: Trained) -> None:
    parser = trained.workflow.parser
    assert parser.get_parsed_content("settings") == block(parser, "paper")


@ONE_OF_EACH_NETWORK_TRAINED
def test_evaluation_and_inference_give_the_same_segmentation(
    trained: Trained, phantom: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO), working_in(tmp_path):
        run(
            trained.bundle,
            "train",
            "evaluate",
            dataset_dir=str(phantom),
            output_dir=str(tmp_path / "eval"),
            ckpt_dir=str(trained.folder / "models"),
            **tiny(trained.bundle),
        )
        run(
            trained.bundle,
            "inference",
            dataset_dir=str(phantom),
            checkpoint=str(trained.checkpoint),
            output_dir=str(tmp_path / "segmentations"),
        )
    assert "1 volumes of the test split" in caplog.text
    assert {path.name for path in tmp_path.iterdir()} == {"eval", "segmentations"}
    scans = sorted((phantom / "imagesTs").iterdir())
    written = sorted((tmp_path / "segmentations").glob("*.nii.gz"))
    assert [path.name for path in written] == [path.name for path in scans]
    for scan, file in zip(scans, written, strict=True):
        image, segmentation = nib.load(scan), nib.load(file)
        evaluated = nib.load(tmp_path / "eval" / "predictions" / "best" / file.name)
        assert segmentation.shape == image.shape
        assert np.allclose(segmentation.affine, image.affine, atol=1e-5)
        assert set(np.unique(segmentation.dataobj)) <= set(range(classes_of(trained.bundle)))
        assert np.array_equal(np.asarray(segmentation.dataobj), np.asarray(evaluated.dataobj))
    rows = (tmp_path / "eval" / "scores.csv").read_text().splitlines()
    assert len(rows) == 1 + 2 * 2 * (classes_of(trained.bundle) - 1), (
        "a row per checkpoint, protocol and class, for one volume"
    )


@ONE_OF_EACH_NETWORK_TRAINED
def test_the_network_keeps_what_the_metadata_promises(trained: Trained) -> None:
    metadata, inference = str(config(trained.bundle, "metadata")), str(config(trained.bundle, "inference"))
    for checkpoint in (trained.checkpoint, "no_weights_yet.pt"):
        verify_net_in_out("network_def", metadata, inference, device="cpu", checkpoint=str(checkpoint))
    with pytest.raises(ValueError, match="doesn't match"):
        verify_net_in_out(
            "network_def",
            metadata,
            inference,
            device="cpu",
            checkpoint="no_weights_yet.pt",
            **{"_meta_#network_data_format#outputs#pred#num_channels": 5},
        )


@ONE_OF_EACH_KIND
def test_the_schedule_ends_with_the_trainers_epochs_whoever_sets_them(bundle: str) -> None:
    parser = ConfigParser()
    parser.read_config(config(bundle, "train"))
    parser["settings"] = dict(parser["demo"])  # without a look at any data
    per_epoch = parser["demo"]["steps_per_epoch"]
    assert parser.get_parsed_content("lr_scheduler#total_steps") == parser["demo"]["steps"]
    parser.parse(reset=True)
    parser["train"]["trainer"]["max_epochs"] = 7
    parser.parse(reset=True)
    assert parser.get_parsed_content("lr_scheduler#total_steps") == 7 * per_epoch


@ONE_OF_EACH_KIND
def test_a_bundle_finds_itself_from_anywhere(bundle: str, tmp_path: Path) -> None:
    copy = tmp_path / "repository" / "bundles" / bundle
    shutil.copytree(ROOT / "bundles" / bundle / "configs", copy / "configs")
    (tmp_path / "elsewhere").mkdir()
    for folder, named in (
        (tmp_path / "repository", Path("bundles") / bundle), (copy, Path()), (tmp_path / "elsewhere", copy)
    ):  # fmt: skip
        file = str(named / "configs" / "train.json")
        with working_in(folder), undisturbed():
            made = ConfigWorkflow(file, logging_file=False, run=["@bundle_root", "@output_dir", "@ckpt_dir"])
            made.initialize()
            found = made.run()
        root = str(copy.resolve())
        assert found == [root, f"{root}/eval", f"{root}/models"]
        assert tree(tmp_path).keys() == {str(path.relative_to(tmp_path)) for path in (copy / "configs").iterdir()}


def test_monai_label_trains_its_own_scans_with_the_papers_settings(
    trained: Trained, tmp_path: Path, phantom: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bundle, root = trained.bundle, tmp_path / trained.bundle
    theirs = shutil.copytree(phantom, tmp_path / "studies")
    shutil.copytree(ROOT / "bundles" / bundle / "configs", root / "configs")
    shutil.copytree(trained.folder / "models", root / "models")
    handlers = read_json(config(bundle, "train"))["train"]["handlers"]
    loader = {
        "_target_": "CheckpointLoader",
        "load_path": str(root / "models" / "model.pt"),
        "load_dict": {"model": "$@network"},
        "strict": False,
    }
    overrides = {
        "bundle_root": str(root),
        "train#trainer#max_epochs": 1,
        "train#dataset#data": items(theirs, 2),
        "validate#dataset#data": items(theirs, 3)[2:],
        "device": "cpu",
        "train#handlers": [loader, *handlers],
    }
    with caplog.at_level(logging.INFO):
        made = run(bundle, "train", **tiny(bundle, steps=1000), **overrides)
    assert f"all variables from {loader['load_path']}" in caplog.text
    parser = made.parser
    assert parser.get_parsed_content("settings") == block(parser, "paper")
    assert len(parser.get_parsed_content("train#unlabeled_dataset")) == 0
    assert not (root / "eval" / "phantom").exists(), "no phantom is drawn beside a hospital's scans"
    assert (root / "eval" / "report.html").is_file()
    assert len(history(root)) == 1
    # ramps and schedules end with the training that was asked for: one epoch of two steps
    assert history(root)[0]["learning_rates"][0] == pytest.approx(0, abs=1e-12)


@ONE_OF_EACH_FORM
@pytest.mark.parametrize(("labeled", "unlabeled"), [(4, 0), (1, 1)])
def test_all_scans_labeled_or_one_of_each_is_enough(
    bundle: str, labeled: int, unlabeled: int, phantom: Path, tmp_path: Path
) -> None:
    data = shutil.copytree(phantom, tmp_path / "data")
    cases = [f"{phantom_of(bundle)}_{index:03d}" for index in range(6)]
    names = cases[: labeled + unlabeled]
    splits = {
        "labeled": names[:labeled],
        "unlabeled": names[labeled:],
        "validation": cases[4:5],
        "test": cases[5:],
    }
    (data / "splits.json").write_text(json.dumps(splits))
    made = run(bundle, "train", dataset_dir=str(data), **places(tmp_path), **tiny(bundle, steps=2, steps_per_epoch=1))
    assert len(made.parser.get_parsed_content("train#dataset").data) == labeled
    assert len(made.parser.get_parsed_content("train#unlabeled_dataset").data) == unlabeled
    assert len(history(tmp_path)) == 2
