from __future__ import annotations

import json
from pathlib import Path

import pytest

from fewlabel.comparison.runs.commands import BundleCommands
from fewlabel.comparison.runs.records import RunFolder
from fewlabel.comparison.runs.run import Run
from helpers.bundles import config

COMMANDS = BundleCommands()


def made(phantom: Path, bundle: str = "supervised", **more: object) -> Run:
    return Run("mine", str(phantom), bundle, bundle, ("small",), labeled_cases=2, seed=1, **more)  # type: ignore[arg-type]


def test_a_run_is_the_documented_command(phantom: Path, tmp_path: Path) -> None:
    run = made(phantom, options={"num_workers": "0"})
    folder = RunFolder(tmp_path, run.key)
    _, *words = COMMANDS.train(run, folder, resume=True)
    files = repr([str(config("supervised", name)) for name in ("train", "small")])
    assert words[:5] == ["-m", "monai.bundle", "run", "--config_file", files]
    options = dict(zip(words[5::2], words[6::2], strict=True))
    assert options == {
        "--dataset_dir": str(phantom), "--seed": "1", "--labeled_cases": "2", "--num_workers": "0", "--resume": "true",
        "--output_dir": str(folder.path / "eval"), "--ckpt_dir": str(folder.path / "models"),
        "--train#dataset#cache_dir": str(tmp_path / "cache"),
        "--train#unlabeled_dataset#cache_dir": str(tmp_path / "cache"),
    }  # fmt: skip


def test_test_cases_are_scored_with_the_same_weights_into_a_folder_of_their_own(phantom: Path, tmp_path: Path) -> None:
    run = made(phantom)
    folder = RunFolder(tmp_path, run.key)
    words = COMMANDS.test(run, folder)
    assert "evaluate.json" in words[5]
    options = dict(zip(words[6::2], words[7::2], strict=True))
    assert (options["--split"], options["--output_dir"]) == ("test", str(folder.path / "test"))
    assert options["--ckpt_dir"] == str(folder.path / "models")


@pytest.mark.parametrize("bundle", ["supervised", "vnet"])
def test_the_config_of_a_run_has_overlays_and_options_in_place(bundle: str, phantom: Path, tmp_path: Path) -> None:
    run = made(phantom, bundle, options={"paper#steps": "12", "val_interval": "3"})
    merged = COMMANDS.config(run, RunFolder(tmp_path, run.key))
    small = json.loads(config(bundle, "small").read_text())
    assert (merged["paper"]["steps"], merged["val_interval"], merged["seed"]) == (12, 3, 1)
    assert merged["paper"]["steps_per_epoch"] == small["paper#steps_per_epoch"]
    assert merged["train"]["unlabeled_dataset"]["cache_dir"] == str(tmp_path / "cache")


def test_an_option_that_no_config_has_is_refused(phantom: Path, tmp_path: Path) -> None:
    run = made(phantom, options={"paper#stepps": "12"})
    with pytest.raises(ValueError, match="paper#stepps is no setting"):
        COMMANDS.config(run, RunFolder(tmp_path, run.key))


def test_the_labeled_cases_are_those_that_the_run_trains_on(phantom: Path) -> None:
    assert COMMANDS.labeled(made(phantom)) == json.loads((phantom / "splits.json").read_text())["labeled"][:2]
    with pytest.raises(ValueError, match="ask for at most"):
        COMMANDS.labeled(Run("mine", str(phantom), "cts", "cts", labeled_cases=99))
