"""What the configs of all bundles of a kind say alike, looked at in one bundle of the kind."""

from __future__ import annotations

from pathlib import Path

import pytest
from monai.bundle import ConfigParser

from helpers.bundle_runs import places, tiny, workflow
from helpers.bundles import BASELINES, KINDS, ONE_OF_EACH_KIND, config, leaves, read_json

# deploy rules: the model zoo's contributing guide, MONAI Label's trainer and our own design
REQUIRED_TRAIN = (
    "bundle_root",
    "dataset_dir",
    "output_dir",
    "ckpt_dir",
    "device",
    "labeled_cases",
    "seed",
    "paper",
    "demo",
    "settings",
    "network_def",
    "network",
    "method",
    "weights",
    "train#preprocessing",
    "train#dataset#data",
    "train#dataloader",
    "train#inferer",
    "train#handlers",
    "train#trainer#max_epochs",
    "validate#preprocessing",
    "validate#dataset#data",
    "validate#dataloader",
    "validate#inferer",
    "validate#postprocessing",
    "validate#handlers",
    "validate#key_metric",
    "validate#evaluator",
    "run",
)
REQUIRED_INFERENCE = (
    "bundle_root",
    "dataset_dir",
    "output_dir",
    "device",
    "network_def",
    "network",
    "preprocessing",
    "dataset",
    "dataloader",
    "inferer",
    "postprocessing",
    "evaluator",
    "run",
)


def test_there_is_a_baseline_of_each_kind() -> None:
    assert BASELINES.keys() == KINDS.keys() == {"slices", "volumes"}


@pytest.mark.parametrize(("file", "required"), [("train", REQUIRED_TRAIN), ("inference", REQUIRED_INFERENCE)])
@ONE_OF_EACH_KIND
def test_a_config_has_the_keys_that_hosts_rely_on(bundle: str, file: str, required: tuple[str, ...]) -> None:
    found = leaves(read_json(config(bundle, file)))
    assert [key for key in required if key not in found] == []
    assert "initialize" not in found, "it is evaluated before the bundle's folder is on the import path"


@ONE_OF_EACH_KIND
def test_one_option_decides_the_precision_of_training_validation_and_inference(bundle: str) -> None:
    train, inference = (read_json(config(bundle, file)) for file in ("train", "inference"))
    assert train["amp"] == inference["amp"] == "cuda"
    parts = [train["train"]["trainer"], train["validate"]["evaluator"], inference["evaluator"]]
    assert [part["amp"] for part in parts] == ["@amp"] * 3


@ONE_OF_EACH_KIND
def test_handlers_are_literal_dictionaries_since_monai_label_looks_into_them(bundle: str) -> None:
    training = read_json(config(bundle, "train"))
    for handlers in (training["train"]["handlers"], training["validate"]["handlers"]):
        assert isinstance(handlers, list)
        assert handlers
        assert all(isinstance(handler, dict) and isinstance(handler["_target_"], str) for handler in handlers)


@ONE_OF_EACH_KIND
def test_a_run_begins_with_the_check_of_its_command_line(bundle: str) -> None:
    start = ["$fewlabel.bundle.explain_errors(@traceback)", "$fewlabel.bundle.check_command_line()"]
    for name in ("train", "evaluate", "multi_gpu_train", "inference"):
        assert read_json(config(bundle, name))["run"][:2] == start
    assert read_json(config(bundle, "train"))["traceback"] is False
    assert read_json(config(bundle, "inference"))["traceback"] is False


@ONE_OF_EACH_KIND
def test_a_run_is_made_deterministic_before_anything_is_built(bundle: str) -> None:
    holding, seeding = read_json(config(bundle, "train"))["run"][2:4]
    assert holding == "$fewlabel.bundle.claim_folders(@output_dir, @ckpt_dir)"
    assert seeding == "$monai.utils.set_determinism(@seed)"
    joining, seeding = read_json(config(bundle, "multi_gpu_train"))["run"][3:5]
    # ranks draw different dropout, so the group comes first
    assert "init_distributed" in joining
    assert seeding.startswith("$monai.utils.set_determinism(")


@ONE_OF_EACH_KIND
def test_inference_prepares_images_as_training_does(bundle: str) -> None:
    training, inference = read_json(config(bundle, "train")), read_json(config(bundle, "inference"))
    assert inference["inferer"]["_target_"] == training["validate"]["inferer"]["_target_"]
    targets = [
        [step["_target_"] for step in stanza["transforms"]]
        for stanza in (inference["preprocessing"], training["train"]["preprocessing"])
    ]
    assert targets[0] == targets[1]


@ONE_OF_EACH_KIND
@pytest.mark.parametrize(("word", "meaning"), [("false", False), ("true", True), (False, False)])
def test_a_switch_on_the_command_line_means_what_it_says(bundle: str, word: object, meaning: bool) -> None:
    parser = ConfigParser({"imports": ["$import fewlabel"], "resume": word})
    (saver,) = [
        handler
        for handler in read_json(config(bundle, "train"))["train"]["handlers"]
        if handler["_target_"] == "fewlabel.handlers.TrainingState"
    ]
    parser["switch"] = saver["resume"]
    assert parser.get_parsed_content("switch") is meaning


@ONE_OF_EACH_KIND
def test_the_device_may_be_given_as_a_word(bundle: str, phantom: Path, tmp_path: Path) -> None:
    made = workflow(
        bundle, "train", device="cpu", dataset_dir=str(phantom), labeled_cases=1, **places(tmp_path), **tiny(bundle)
    )
    made.initialize()
    assert made.parser.get_parsed_content("train#dataloader").pin_memory is False
