from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow, ckpt_export, verify_net_in_out

from helpers.bundle_runs import (
    BUNDLES,
    OFTEN_RUN,
    ROOT,
    Trained,
    classes_of,
    config,
    example,
    phantom_of,
    places,
    read_json,
    run,
    tiny,
    tree,
    undisturbed,
    workflow,
    working_in,
)


@pytest.fixture(params=BUNDLES)
def bundle(request: pytest.FixtureRequest) -> str:
    return request.param


def history(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "eval" / "history.jsonl").read_text().splitlines()]


def items(folder: Path, volumes: int) -> list[dict[str, str]]:
    """What a host such as MONAI Label lists: pairs of files, nothing else."""
    images = sorted((folder / "imagesTr").iterdir())[:volumes]
    return [{"image": str(image), "label": str(folder / "labelsTr" / image.name)} for image in images]


def test_the_supervised_loss_falls(trained: Trained) -> None:
    first, last = (
        sum(value for name, value in epoch["terms"].items() if name.startswith("supervised"))
        for epoch in history(trained.folder)
    )
    assert last < first


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
    assert parser.get_parsed_content("settings") == parser.get_parsed_content("paper")


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


def test_the_exported_network_computes_the_same(trained: Trained, tmp_path: Path) -> None:
    ckpt_export(
        "network_def",
        filepath=str(tmp_path / "model.ts"),
        ckpt_file=str(trained.checkpoint),
        meta_file=str(config(trained.bundle, "metadata")),
        config_file=str(config(trained.bundle, "inference")),
        checkpoint=str(trained.checkpoint),
    )
    exported = torch.jit.load(tmp_path / "model.ts").eval()
    network = trained.workflow.parser.get_parsed_content("network")
    network.load_state_dict(torch.load(trained.checkpoint, weights_only=True))
    image = example(trained.bundle)
    with torch.no_grad():
        torch.testing.assert_close(exported(image), network.eval()(image))


def test_without_a_dataset_the_phantom_is_drawn_and_the_demo_is_set_up(tmp_path: Path) -> None:
    # which settings apply is decided alike in all bundles, see test_bundle_configs
    made = workflow("supervised", "train", **places(tmp_path))
    made.initialize()
    parser = made.parser
    assert parser.get_parsed_content("settings") == parser.get_parsed_content("demo")
    cohort = parser.get_parsed_content("cohort")
    assert cohort.demo_dir == (tmp_path / "eval" / "phantom").resolve()
    assert [len(part) for part in (cohort.labeled, cohort.cohort.unlabeled, cohort.validation)] == [3, 13, 4]


@pytest.mark.parametrize("place", ["the repository", "the bundle", "elsewhere"])
def test_a_bundle_finds_itself_from(bundle: str, place: str, tmp_path: Path) -> None:
    copy = tmp_path / "repository" / "bundles" / bundle
    shutil.copytree(ROOT / "bundles" / bundle / "configs", copy / "configs")
    (tmp_path / "elsewhere").mkdir()
    folder, named = {
        "the repository": (tmp_path / "repository", Path("bundles") / bundle),
        "the bundle": (copy, Path()),
        "elsewhere": (tmp_path / "elsewhere", copy),
    }[place]
    file = str(named / "configs" / "train.json")
    with working_in(folder), undisturbed():
        made = ConfigWorkflow(file, logging_file=False, run=["@bundle_root", "@output_dir", "@ckpt_dir"])
        made.initialize()
        found = made.run()
    root = str(copy.resolve())
    assert found == [root, f"{root}/eval", f"{root}/models"]
    assert tree(tmp_path).keys() == {str(path.relative_to(tmp_path)) for path in (copy / "configs").iterdir()}


def test_the_device_may_be_given_as_a_word(bundle: str, phantom: Path, tmp_path: Path) -> None:
    made = workflow(
        bundle, "train", device="cpu", dataset_dir=str(phantom), labeled_cases=1, **places(tmp_path), **tiny(bundle)
    )
    made.initialize()
    assert made.parser.get_parsed_content("train#dataloader").pin_memory is False


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
    assert parser.get_parsed_content("settings") == parser.get_parsed_content("paper")
    assert len(parser.get_parsed_content("train#unlabeled_dataset")) == 0
    assert not (root / "eval" / "phantom").exists(), "no phantom is drawn beside a hospital's scans"
    assert (root / "eval" / "report.html").is_file()
    assert len(history(root)) == 1
    # ramps and schedules end with the training that was asked for: one epoch of two steps
    assert history(root)[0]["learning_rates"][0] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("bundle", OFTEN_RUN, indirect=True)
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


def test_the_networks_of_cross_teaching_have_the_published_sizes() -> None:
    parser = workflow("cts", "train", **{"settings": {"size": 224, "norm": "batch"}}).parser
    for name, expected in (("network_def", 1_813_764), ("transformer_def", 27_168_420)):
        network = parser.get_parsed_content(name)
        assert sum(parameter.numel() for parameter in network.parameters()) == expected


@pytest.mark.slow
@pytest.mark.parametrize(("cases", "slices"), [(1, 32), (3, 68), (7, 136)])
def test_the_first_patients_of_acdc_have_the_published_number_of_slices(
    cases: int, slices: int, real_acdc: Path, tmp_path: Path
) -> None:
    made = workflow("supervised", "train", dataset_dir=str(real_acdc), labeled_cases=cases, **places(tmp_path))
    made.initialize()
    assert len(made.parser.get_parsed_content("train#dataset")) == slices
    assert made.parser.get_parsed_content("settings") == made.parser.get_parsed_content("paper")
