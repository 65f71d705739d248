"""What bundles share is the same text in all of them, so that nobody looks for a meaning in a difference."""

from __future__ import annotations

from typing import Any

import pytest
from monai.bundle import ConfigParser

from helpers.bundle_runs import BUNDLES, ROOT, config, leaves, read_json, works_on_volumes

SAME_STANZAS = (
    "imports",
    "dataset_dir",
    "output_dir",
    "ckpt_dir",
    "demo_dir",
    "settings",
    "labels",
    "device",
    "network",
    "method",
    "train#dataloader",
    "train#trainer",
    "validate#dataset",
    "validate#postprocessing",
    "validate#key_metric",
    "validate#evaluator",
    "run",
)
# the same in all bundles for slices, and in all for volumes
SAME_IN_A_FAMILY = (
    "cohort",
    "train#preprocessing",
    "train#augmentation",
    "train#dataset",
    "train#unlabeled_dataset",
    "train#handlers",
    "validate",
)
FAMILIES = {
    "supervised": [bundle for bundle in BUNDLES if not works_on_volumes(bundle)],
    "vnet": [bundle for bundle in BUNDLES if works_on_volumes(bundle)],
}
# what inference.json must say of a method's own networks
OWN_INFERENCE = ("bundle_root", "trained", "network_def", "second_network_def", "second_checkpoint")


def without_second_network(handlers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A method of two students saves both."""
    return [{key: value for key, value in handler.items() if key != "second_network"} for handler in handlers]


def without_strong_view(augmentation: dict[str, Any]) -> dict[str, Any]:
    """A method of two views makes the second one from what all methods see."""
    transforms = augmentation.get("transforms", [])
    shared = [transform for transform in transforms if transform["_target_"] != "fewlabel.transforms.StrongViewd"]
    return {**augmentation, "transforms": shared} if transforms else augmentation


def stanzas(bundles: list[str], stanza: str) -> dict[str, Any]:
    found = {bundle: leaves(read_json(config(bundle, "train")))[stanza] for bundle in bundles}
    if stanza == "train#handlers":
        found = {bundle: without_second_network(handlers) for bundle, handlers in found.items()}
    if stanza == "train#augmentation":
        found = {bundle: without_strong_view(augmentation) for bundle, augmentation in found.items()}
    return found


@pytest.mark.parametrize("stanza", SAME_STANZAS)
def test_what_all_methods_share_is_the_same_in_all_bundles(stanza: str) -> None:
    found = stanzas(BUNDLES, stanza)
    assert all(value == found["supervised"] for value in found.values())


@pytest.mark.parametrize("baseline", FAMILIES)
@pytest.mark.parametrize("stanza", SAME_IN_A_FAMILY)
def test_what_a_family_shares_is_the_same_as_in_its_baseline(baseline: str, stanza: str) -> None:
    found = stanzas(FAMILIES[baseline], stanza)
    assert all(value == found[baseline] for value in found.values())


@pytest.mark.parametrize("baseline", FAMILIES)
def test_inference_differs_in_a_methods_own_networks_only(baseline: str) -> None:
    found = [read_json(config(bundle, "inference")) for bundle in FAMILIES[baseline]]
    shared = [{key: value for key, value in one.items() if key not in OWN_INFERENCE} for one in found]
    assert all(one == shared[0] for one in shared)


def test_between_families_inference_differs_in_what_happens_to_images_only() -> None:
    own = {*OWN_INFERENCE, "preprocessing", "inferer"}
    found = [read_json(config(bundle, "inference")) for bundle in FAMILIES]
    shared = [{key: value for key, value in one.items() if key not in own} for one in found]
    assert all(one == shared[0] for one in shared)


@pytest.mark.parametrize("name", ["evaluate.json", "multi_gpu_train.json", "logging.conf"])
def test_files_that_no_method_changes_are_the_same_in_all_bundles(name: str) -> None:
    texts = {
        (ROOT / "bundles" / bundle / "configs" / name)
        .read_text()
        .replace(f"find_root('{bundle}')", "")
        .replace('  "text": null,\n', "")  # weights bring their text along
        for bundle in BUNDLES
    }
    assert len(texts) == 1


@pytest.mark.parametrize("bundle", BUNDLES)
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
