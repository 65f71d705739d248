from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fewlabel.bundle.recipes.bundle_configs import bundle_configs
from fewlabel.bundle.recipes.recipe import Recipe, read_recipe

ROOT = Path(__file__).parents[3]
BASE = ROOT / "shared" / "base_configs"
# the same for slices and for volumes, so that nobody looks for a meaning in a difference
SAME_IN_ALL_KINDS = (
    "imports", "dataset_dir", "output_dir", "ckpt_dir", "demo_dir", "settings", "labels", "device", "network", "method",
    "optimizer", "evaluation", "run",
)  # fmt: skip
SAME_SUBSECTIONS = {
    "train": ("dataloader", "inferer", "trainer"),
    "validate": ("dataset", "dataloader", "postprocessing", "handlers", "key_metric", "evaluator"),
}

Edit = Callable[[dict[str, Any]], None]


@pytest.fixture
def edited(tmp_path: Path) -> Callable[..., Recipe]:
    """Read the recipe of a bundle after a change of it."""

    def edit(bundle: str, change: Edit) -> Recipe:
        content = json.loads((ROOT / "bundles" / bundle / "recipe.json").read_text())
        change(content)
        file = tmp_path / bundle / "recipe.json"
        file.parent.mkdir()
        file.write_text(json.dumps(content))
        return read_recipe(file)

    return edit


def configs(bundle: str) -> dict[str, dict[str, Any]]:
    return bundle_configs(BASE, read_recipe(ROOT / "bundles" / bundle / "recipe.json"))


def test_name_and_title_stand_where_a_bundle_says_its_own() -> None:
    written = configs("cts")
    assert written["train"]["bundle_root"] == "$fewlabel.bundle.find_root('cts')"
    assert written["inference"]["bundle_root"] == "$fewlabel.bundle.find_root('cts')"
    assert written["metadata"]["name"] == "cts"
    assert written["train"]["evaluation"]["title"] == "Cross teaching between CNN and Transformer"


def test_the_demo_has_the_papers_settings_but_for_those_that_it_changes(edited: Callable[..., Recipe]) -> None:
    def change(content: dict[str, Any]) -> None:
        content["train"]["paper"] |= {"lr_cnn": 0.25, "passes": "separate"}
        content["train"]["demo"] = {"size": 32, "norm": "instance"}

    train = bundle_configs(BASE, edited("cts", change))["train"]
    assert train["demo"] == {**train["paper"], "size": 32, "norm": "instance"}
    assert [*train["demo"]] == [*train["paper"]]
    assert (train["demo"]["lr_cnn"], train["demo"]["passes"]) == (0.25, "separate")


def test_small_settings_are_those_of_the_kind_and_of_the_recipe_in_the_order_of_train(
    edited: Callable[..., Recipe],
) -> None:
    recipe = edited("cts", lambda content: content.update(small={"norm": "group", "steps": 7}))
    assert [*bundle_configs(BASE, recipe)["small"].items()] == [
        ("augmentation", "strong"), ("amp", "auto"), ("paper#size", 128), ("paper#steps", 7),
        ("paper#steps_per_epoch", 375), ("paper#labeled_batch_size", 4), ("paper#norm", "group"),
    ]  # fmt: skip


def test_a_definition_is_written_before_its_use() -> None:
    keys = [*configs("mcsc_v2")["train"]]
    place = keys.index("network")
    own = ["transformer_def", "transformer", "contrastive_loss", "contrastive_losses"]
    assert keys[place : place + 6] == ["network", *own, "method_def"]


def test_inference_knows_the_papers_settings_for_weights_without_a_note() -> None:
    trained = configs("vnet")["inference"]["trained"]
    assert trained == {
        "_target_": "fewlabel.bundle.training_settings", "checkpoint": "@checkpoint", "size": [112, 112, 80],
        "stride": [18, 18, 4], "spacing": [0.625] * 3, "channels": 16, "norm": "batch", "num_classes": 2,
        "in_channels": 1,
        "intensity": {"mode": "zscore", "low": None, "high": None},
    }  # fmt: skip


def test_the_network_of_inference_reads_settings_that_were_saved_and_leaves_out_what_is_for_training() -> None:
    assert configs("vnet")["inference"]["network_def"] == {
        "_requires_": "$fewlabel.bundle.require_same_package(@bundle_root)", "_target_": "fewlabel.networks.VNet",
        "in_channels": "$@trained['in_channels']", "num_classes": "$@trained['num_classes']",
        "channels": "$@trained['channels']",
        "norm": "$@trained['norm']",
    }  # fmt: skip


def saver(train: dict[str, Any]) -> dict[str, Any]:
    return next(item for item in train["train"]["handlers"] if item["_target_"].endswith("ModelSaver"))


def test_without_a_second_network_none_is_saved_or_loaded() -> None:
    written = configs("supervised")
    assert "second_network" not in saver(written["train"])
    assert written["inference"]["second_network_def"] is None
    assert written["inference"]["second_checkpoint"] is None


def test_a_second_network_that_is_trained_too_is_saved_and_loaded_from_its_own_weights() -> None:
    written = configs("cts")
    assert saver(written["train"])["second_network"] == "@transformer_def"
    assert written["inference"]["second_checkpoint"] == "$fewlabel.bundle.second_checkpoint(@checkpoint)"
    assert written["inference"]["second_network_def"] == {
        "_target_": "fewlabel.networks.SwinUnet", "_disabled_": "$not fewlabel.bundle.parse_bool(@uncertainty)",
        "in_channels": "$@trained['in_channels']", "num_classes": "$@trained['num_classes']",
        "img_size": "$@trained['size']", "embed_dim": "$@trained['embed_dim']",
        "head_kernel_size": 1,
    }  # fmt: skip


def test_a_network_that_is_compared_with_itself_is_saved_once() -> None:
    written = configs("mc_net")
    assert "second_network" not in saver(written["train"])
    assert written["inference"]["second_checkpoint"] == "@checkpoint"
    assert written["inference"]["second_network_def"]["_target_"] == "fewlabel.networks.MCNet"


def test_entries_added_to_an_overlay_stand_before_what_is_run() -> None:
    assert [*configs("vclipseg")["evaluate"]] == ["split", "validate#dataset#data", "text", "run"]


def test_a_setting_that_one_network_alone_has_goes_with_its_weights_to_inference() -> None:
    written = configs("vclipseg")
    assert saver(written["train"])["settings"]["coarse_norm"] == "$@settings['coarse_norm']"
    assert written["inference"]["trained"]["coarse_norm"] == "batch"
    for name in ("network_def", "second_network_def"):
        assert written["inference"][name]["coarse_norm"] == "$@trained['coarse_norm']"
    assert "coarse_norm" not in saver(configs("vnet")["train"])["settings"]


def test_overlays_of_a_bundle_are_written_as_the_recipe_has_them_and_belong_to_it_alone() -> None:
    recipe = read_recipe(ROOT / "bundles" / "vclipseg" / "recipe.json")
    written = bundle_configs(BASE, recipe)
    overlays = recipe.sections["overlays"]
    assert {*overlays} == {"as_printed", "as_released"}
    assert {name: written[name] for name in overlays} == overlays
    assert [*configs("vnet")] == ["train", "inference", "small", "evaluate", "multi_gpu_train", "metadata"]


def test_the_kinds_share_all_but_what_they_do_with_images() -> None:
    slices, volumes = (json.loads((BASE / kind / "train.json").read_text()) for kind in ("slices", "volumes"))
    assert {key: slices[key] for key in SAME_IN_ALL_KINDS} == {key: volumes[key] for key in SAME_IN_ALL_KINDS}
    for section, keys in SAME_SUBSECTIONS.items():
        assert {key: slices[section][key] for key in keys} == {key: volumes[section][key] for key in keys}
    slices, volumes = (json.loads((BASE / kind / "inference.json").read_text()) for kind in ("slices", "volumes"))
    assert {key for key in slices if slices[key] != volumes[key]} == {"inferer"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["train"].pop("weights"), r"train: has no object 'weights'"),
        (lambda c: c["train"].update(demo={"stepz": 1}), r"train: demo: 'stepz' is given, but no setting"),
        (lambda c: c["train"]["paper"].pop("norm"), r"train: demo: 'norm' is given, but no setting"),
        (
            lambda c: (c["train"]["paper"].pop("size"), c["train"]["demo"].pop("size")),
            r"'size' is needed for inference",
        ),
        (lambda c: c["small"].update(bank_size=3), r"small: 'bank_size' is given, but no setting of train's paper"),
        (lambda c: c["train"].update({"train#trainer#max_epoch": 3}), r"train: there is no 'train#trainer#max_epoch'"),
        (lambda c: c.update(evaluate={"splitt": 3}), r"evaluate: there is no 'splitt' to change"),
        (lambda c: c.update(second_network="teacher_def"), r"second_network is 'teacher_def', which train does not"),
        (lambda c: c.update(second_network="paper"), r"second_network is 'paper', which train does not define as a"),
        (lambda c: c["train"].update({"train#handlers": []}), r"train: train#handlers has 0 times fewlabel\.handlers"),
        (lambda c: c.update(saved={"depth": 3}), r"saved: 'depth' is given, but no setting of train's paper"),
        (lambda c: c.update(overlays={"own": {"sead": 3}}), r"overlays: own: there is no 'sead' to change"),
        (lambda c: c.update(overlays={"own": {"+seed": 3}}), r"overlays: own: expected an object of keys that train"),
        (lambda c: c.update(overlays={"own": 3}), r"overlays: own: expected an object of keys that train"),
        (lambda c: c.update(overlays={"small": {"seed": 3}}), r"overlays: small: no name for an overlay"),
        (lambda c: c.update(overlays={"As Own": {"seed": 3}}), r"overlays: As Own: no name for an overlay"),
        (lambda c: c["metadata"].pop("task"), r"metadata: has no 'task'"),
        (lambda c: c["metadata"].update(taskk="x"), r"metadata: there is no 'taskk' to change"),
        (lambda c: c.update(inference={"second_network": 1, "x": 2}), r"inference: there is no 'x' to change"),
    ],
)
def test_a_wrong_entry_is_refused_with_file_and_key(edited: Callable[..., Recipe], change: Edit, message: str) -> None:
    recipe = edited("cts", change)
    with pytest.raises(ValueError, match=rf"cts/recipe\.json: .*{message.removeprefix('^')}"):
        bundle_configs(BASE, recipe)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("name"), r"has no 'name'; every recipe has kind, name"),
        (lambda c: c.update(name="ctz"), r"the name is 'ctz'; expected 'cts', as the folder's"),
        (lambda c: c.update(kind="slice"), r"the kind is 'slice'; expected one of slices, volumes"),
        (lambda c: c.update(trian={}), r"'trian' is unknown; a recipe has"),
        (lambda c: c.update(small=[]), r"'small' is \[\]; expected an object"),
        (lambda c: c.update(title=""), r"'title' is ''; expected text"),
    ],
)
def test_a_wrong_recipe_is_refused_with_file_and_key(edited: Callable[..., Recipe], change: Edit, message: str) -> None:
    with pytest.raises(ValueError, match=rf"cts/recipe\.json: {message}"):
        edited("cts", change)
