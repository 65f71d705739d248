from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fewlabel.bundle.command_line.keys import require_known_keys

TRAIN = {
    "dataset_dir": "/data",
    "labeled_cases": None,
    "resume": False,
    "paper": {"steps": 40000, "labeled_batch_size": 2, "optimizer": {"_target_": "torch.optim.AdamW", "lr": 0.1}},
    "demo": {"steps": 400},
    "network_def": {"_target_": "fewlabel.networks.UNet", "num_classes": 4},
    "scheduler": {"_target_": "fewlabel.engines.PolynomialWarmup", "warmup": {"transformer": 0.1}},
    "loader": {"_target_": "DataLoader", "batch_size": 1},
    "handlers": [{"_target_": "CheckpointSaver", "save_dir": "/out"}],
    "run": ["$@network_def"],
}


@pytest.fixture
def train(tmp_path: Path) -> str:
    return written(tmp_path / "train.json", TRAIN)


def written(path: Path, config: dict[str, Any]) -> str:
    path.write_text(json.dumps(config))
    return str(path)


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("labelled_cases", "labeled_cases"),
        ("resmue", "resume"),
        ("paper#step", "paper#steps"),
        ("paper::step", "paper#steps"),
        ("papr#steps", "paper#steps"),
        ("steps", "paper#steps"),
        ("network_def#num_clases", "network_def#num_classes"),
        ("network_def#dropuot", "network_def#dropout"),
        ("paper#optimizer#weight_decya", "paper#optimizer#weight_decay"),
        ("handlers#0#save_dri", "handlers#0#save_dir"),
        ("+dataset_dri", "dataset_dir"),
    ],
)
def test_a_misspelled_key_is_refused_with_the_nearest_one(key: str, nearest: str, train: str) -> None:
    typed = key.removeprefix("+").replace("::", "#")
    with pytest.raises(ValueError, match=rf"^--{typed} is no setting .* nearest is --{nearest}; nothing was run$"):
        require_known_keys([train], {key: 1})


@pytest.mark.parametrize("key", ["num_classes", "size"])
def test_a_setting_of_the_training_run_is_no_hint_to_the_network_at_inference(key: str, tmp_path: Path) -> None:
    trained = {"_target_": "fewlabel.bundle.training_settings", "checkpoint": "m.pt", "num_classes": 4, "size": 96}
    inference = written(tmp_path / "inference.json", {"trained": trained, "network_def": TRAIN["network_def"]})
    message = rf"^--{key} belongs to the training run: model.json .* leave it out"
    with pytest.raises(ValueError, match=message) as caught:
        require_known_keys([inference], {key: 5})
    assert "nearest" not in str(caught.value)


def test_every_misspelled_key_is_named(train: str) -> None:
    with pytest.raises(ValueError, match=r"--resmue is .* --resume; --paper#step is .* --paper#steps; nothing"):
        require_known_keys([train], {"resmue": True, "paper#step": 10, "demo#steps": 10})


@pytest.mark.parametrize(
    "overrides",
    [
        {"labeled_cases": 3, "paper#steps": 10, "paper::labeled_batch_size": 4},
        {"network_def#dropout": 0.1},  # an argument that the config leaves at its default
        {"network_def#_disabled_": True, "network_def#_requires_": "$1", "network_def#_mode_": "callable"},
        {"loader#anything": 3},  # DataLoader takes any keyword
        {"scheduler#warmup#cnn": 0.1},  # a dictionary that the scheduler takes apart
        {"network_def#channels": 4, "network_def#_target_": "fewlabel.networks.VNet"},  # of the class that is built
        {"network_def#depth": 4, "network_def#_target_": "a.package.that.is.not.here"},
        {"network_def#depth": 4, "network_def#_target_": "$@demo#steps.__class__"},
        {"handlers#0#save_dir": "/elsewhere"},
        {"+handlers": [{"_target_": "StatsHandler"}], "+paper": {"steps": 3}},
        {"my_rate": 0.1, "paper#optimizer#lr": "@my_rate"},  # a key of one's own that is put to use
        {"my": {"rate": 0.1}, "paper#optimizer#lr": "$2 * @my#rate"},
        {"mine": 3, "demo#steps": "%mine"},
        {"initialize": "$1", "run": "$2", "finalize": "$3"},
        {"_meta_#version": "1"},
    ],
    ids=str,
)
def test_a_key_that_changes_something_is_accepted(overrides: dict[str, Any], train: str) -> None:
    require_known_keys([train], overrides)


def test_a_key_of_an_overlay_must_be_in_the_configs_before_it(train: str, tmp_path: Path) -> None:
    sound = written(tmp_path / "sound.json", {"paper#steps": 3, "network_def#dropout": 0.1, "+demo": {"steps": 3}})
    require_known_keys([train, sound], {})
    misspelled = written(tmp_path / "misspelled.json", {"paper#stpes": 3})
    message = r"^paper#stpes in .*/misspelled\.json is no setting .* nearest is paper#steps; nothing was run$"
    with pytest.raises(ValueError, match=message):
        require_known_keys([train, sound, misspelled], {})


def test_what_an_overlay_joins_to_a_dictionary_must_be_there_too(train: str, tmp_path: Path) -> None:
    joined = written(tmp_path / "joined.json", {"+paper": {"stpes": 3}})
    with pytest.raises(ValueError, match=r"^paper#stpes in .* nearest is paper#steps"):
        require_known_keys([train, joined], {})


def test_a_whole_object_must_have_the_keys_of_the_one_that_it_replaces(train: str, tmp_path: Path) -> None:
    misspelled = written(tmp_path / "misspelled.json", {"demo": {"stepps": 3}})
    message = (
        r"^demo#stepps in .*/misspelled\.json is no setting of the configs before it, the nearest is demo#steps; "
        r"demo in .*/misspelled\.json replaces the whole object and has no steps: "
        r"give it too, or set single keys, as demo#steps; nothing was run$"
    )
    with pytest.raises(ValueError, match=message):
        require_known_keys([train, misspelled], {})
    with pytest.raises(ValueError, match=r"^--paper replaces .* has no labeled_batch_size: .* has no optimizer: "):
        require_known_keys([train], {"paper": {"steps": 3}})


def test_the_objects_in_a_whole_object_are_compared_too(train: str) -> None:
    paper = {**TRAIN["paper"], "intensity": {"mode": "window"}}
    with pytest.raises(ValueError, match=r"^--paper#intensity#mdoe .*; --paper#intensity replaces .* has no mode: "):
        require_known_keys(
            [written(Path(train), {**TRAIN, "paper": paper})], {"paper": {**paper, "intensity": {"mdoe": "window"}}}
        )


@pytest.mark.parametrize(
    "overrides",
    [
        {"demo": {"steps": 3}},
        {"paper#optimizer": {"_target_": "torch.optim.SGD", "momentum": 0.9}},  # another component
        {"scheduler#warmup": {"cnn": 0.1}},  # an argument
        {"weights": {"supervised": 1, "dynamic": 0.1}, "method_def": {"_target_": "fewlabel.methods.DynamicLabeling"}},
        {"patch_sizes": {"1": 12, "4": 8}},  # its keys are scales
        {"_meta_": {"version": "1"}},
        {"demo": {}, "demo#steps": 3},  # is there in the end
    ],
    ids=str,
)
def test_a_whole_object_that_fits_is_accepted(overrides: dict[str, Any], tmp_path: Path) -> None:
    more = {
        "method_def": {"_target_": "fewlabel.methods.CrossTeaching"},
        "weights": {"supervised": 1, "cross": 0.1},
        "patch_sizes": {"1": 19, "8": 14},
        "_meta_": {"name": "one"},
    }
    require_known_keys([written(tmp_path / "train.json", TRAIN | more)], overrides)


def test_weights_of_another_method_need_that_method(tmp_path: Path) -> None:
    train = written(tmp_path / "train.json", {"weights": {"supervised": 1, "cross": 0.1}, "run": ["$@weights"]})
    with pytest.raises(ValueError, match=r"^--weights replaces the whole object and has no cross: "):
        require_known_keys([train], {"weights": {"supervised": 1}})


def test_a_component_in_the_method_may_bring_terms_and_networks_and_a_number_may_not(tmp_path: Path) -> None:
    method = {"_target_": "fewlabel.methods.MeanTeacher", "contrast": None, "decay": 0.99}
    configs = {"method_def": method, "weights": {"supervised": 1}, "learning_rates": {"network": 0.1}}
    train = written(tmp_path / "train.json", {**configs, "run": ["$@weights", "$@learning_rates"]})
    more = {"weights": {"supervised": 1, "contrastive": 0.1}, "learning_rates#contrast": 0.1}
    require_known_keys([train], {"method_def#contrast": {"_target_": "fewlabel.methods.CertaintyContrast"}, **more})
    with pytest.raises(ValueError, match=r"^--weights#contrastive is .*; --learning_rates#contrast is no setting"):
        require_known_keys([train], {"method_def#decay": 0.9, **more})


def test_an_overlay_may_bring_a_key_that_it_uses_and_the_command_line_may_set_it(train: str, tmp_path: Path) -> None:
    evaluate = written(tmp_path / "evaluate.json", {"split": "auto", "run": ["$print(@split)"]})
    require_known_keys([train, evaluate], {"split": "test"})
    with pytest.raises(ValueError, match="--split is no setting"):
        require_known_keys([train], {"split": "test"})


def test_tracking_brings_keys_of_its_own(train: str, tmp_path: Path) -> None:
    require_known_keys([train], {"experiment_name": "mine", "tracking_uri": "/runs"}, tracking="mlflow")
    own = written(tmp_path / "tracking.json", {"handlers_id": {}, "configs": {"project": "mine"}})
    require_known_keys([train], {"project": "yours"}, tracking=own)
    for tracking in (None, own):
        with pytest.raises(ValueError, match="--experiment_name is no setting"):
            require_known_keys([train], {"experiment_name": "mine"}, tracking)
