"""The documented commands that a run consists of."""

from __future__ import annotations

import json
import sys
from typing import Any, Protocol

from fewlabel.comparison.runs.records import RunFolder
from fewlabel.comparison.runs.run import Run
from fewlabel.launch.long_form import long_form

_CACHES = ("train#dataset#cache_dir", "train#unlabeled_dataset#cache_dir")


class Commands(Protocol):
    """Where a scheduler gets its commands from."""

    def train(self, run: Run, folder: RunFolder, resume: bool) -> list[str]:
        """Return the command that trains, and scores the validation cases at the end."""

    def test(self, run: Run, folder: RunFolder) -> list[str]:
        """Return the command that scores the test cases."""

    def config(self, run: Run, folder: RunFolder) -> dict[str, Any]:
        """Return the config of the training run with all overlays and options in place."""

    def labeled(self, run: Run) -> list[str]:
        """Return the names of the labeled cases."""


class BundleCommands:
    """``python -m monai.bundle run`` of the bundles; preprocessed volumes are shared by all runs of a comparison."""

    def train(self, run: Run, folder: RunFolder, resume: bool) -> list[str]:
        """Return the command that trains, and scores the validation cases at the end."""
        more = ["--resume", "true"] if resume else []
        return [sys.executable, "-m", "monai.bundle", *long_form("train", [*self._words(run, folder, "eval"), *more])]

    def test(self, run: Run, folder: RunFolder) -> list[str]:
        """Return the command that scores the test cases."""
        words = [*self._words(run, folder, "test"), "--split", "test"]
        return [sys.executable, "-m", "monai.bundle", *long_form("evaluate", words)]

    def config(self, run: Run, folder: RunFolder) -> dict[str, Any]:
        """Return the config of the training run with all overlays and options in place.

        Raises:
            ValueError: an option or a key of an overlay is none of the config's.
        """
        from fire.parser import DefaultParseValue
        from monai.bundle import ConfigParser

        from fewlabel.bundle.command_line.blocks import require_block_that_applies
        from fewlabel.bundle.command_line.keys import require_known_keys

        _, _, files, *words = long_form("train", self._words(run, folder, "eval"))
        config_files = DefaultParseValue(files)
        overrides = {
            key.removeprefix("--"): DefaultParseValue(value) for key, value in zip(words[::2], words[1::2], strict=True)
        }
        require_known_keys(config_files, overrides)
        require_block_that_applies(config_files, overrides)
        parser = ConfigParser()
        parser.read_config(config_files)
        parser.update(overrides)
        config: dict[str, Any] = json.loads(json.dumps(parser.config))
        return config

    def labeled(self, run: Run) -> list[str]:
        """Return the names of the labeled cases.

        Raises:
            FileNotFoundError: the dataset is not there.
            ValueError: it has faults, or fewer labeled cases.
        """
        from fewlabel.data import Cohort

        typed = run.options.get("fold")
        fold = None if typed in (None, "null", "None") else int(typed)
        cohort = Cohort(run.dataset_dir, run.labeled_cases, run.seed, fold)
        return list(dict.fromkeys(item["case"] for item in cohort.labeled))

    @staticmethod
    def _words(run: Run, folder: RunFolder, results: str) -> list[str]:
        cache = str(folder.out / "cache")
        keys = {
            "dataset_dir": run.dataset_dir,
            "seed": str(run.seed),
            "output_dir": str(folder.path / results),
            "ckpt_dir": str(folder.path / "models"),
            **dict.fromkeys(_CACHES, cache),
            **({} if run.labeled_cases is None else {"labeled_cases": str(run.labeled_cases)}),
            **run.options,
        }
        overlays = [word for overlay in run.overlays for word in ("--with", overlay)]
        return [run.bundle, *overlays, *(word for key, value in keys.items() for word in (f"--{key}", value))]
