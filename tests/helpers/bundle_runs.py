"""Bundles set up and run in this process, as `python -m monai.bundle run` would, with settings that cost little."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from fire.parser import DefaultParseValue
from monai.bundle import ConfigWorkflow

from helpers.bundles import config, kind_of, read_json

# settings that every bundle of a kind has
SHORT = {"steps": 4, "steps_per_epoch": 2, "labeled_batch_size": 1, "unlabeled_batch_size": 1}
COARSE: dict[str, dict[str, Any]] = {
    "slices": {"size": 64},
    "volumes": {"size": [32, 32, 16], "stride": [32, 32, 16], "spacing": [4.4, 4.4, 4.4]},
}
SHAPES = {"slices": (64, 64), "volumes": (32, 32, 16)}


@dataclass(frozen=True)
class Trained:
    """A bundle after two short epochs on the phantom."""

    bundle: str
    folder: Path
    workflow: ConfigWorkflow
    strays: list[str]

    @property
    def checkpoint(self) -> Path:
        return self.folder / "models" / "model.pt"


def example(bundle: str | Path, number: int = 1) -> torch.Tensor:
    """Images of the size that the short settings train at."""
    return torch.rand(number, 1, *SHAPES[kind_of(bundle)], generator=torch.Generator().manual_seed(0))


def short(bundle: str | Path, **changes: Any) -> dict[str, Any]:
    """Overrides that leave a method as the paper and the demo have it, but with few steps on few, coarse images."""
    settings = read_json(config(bundle, "train"))
    small = {**SHORT, **COARSE[kind_of(bundle)], **changes}
    # no unlabeled images in a batch means that the method has no use for them
    known = {key: value for key, value in small.items() if settings["demo"][key] != 0}
    return {f"{block}#{key}": value for block in ("paper", "demo") for key, value in known.items()} | {"num_workers": 0}


def tiny(bundle: str | Path, **changes: Any) -> dict[str, Any]:
    """The same, and what is left as the demo has it, which every bundle keeps small enough to be shown."""
    demo = read_json(config(bundle, "train"))["demo"]
    return {**{f"paper#{key}": value for key, value in demo.items()}, **short(bundle, **changes)}


def typed(options: Mapping[str, str]) -> dict[str, Any]:
    """What `python -m monai.bundle run` makes of the words behind its options."""
    return {name: DefaultParseValue(word) for name, word in options.items()}


def words(options: Mapping[str, Any]) -> list[str]:
    """The options as typed."""
    return [word for key, value in options.items() for word in (f"--{key}", str(value))]


def places(folder: Path) -> dict[str, str]:
    return {"output_dir": str(folder / "eval"), "ckpt_dir": str(folder / "models")}


def workflow(bundle: str | Path, *names: str, **overrides: Any) -> ConfigWorkflow:
    """What `python -m monai.bundle run` sets up, in this process."""
    files = [str(config(bundle, name)) for name in names]
    return ConfigWorkflow(
        config_file=files if len(files) > 1 else files[0],
        meta_file=str(config(bundle, "metadata")),
        logging_file=False,
        workflow_type="train" if names[0] == "train" else "inference",
        **overrides,
    )


def run(bundle: str | Path, *names: str, **overrides: Any) -> ConfigWorkflow:
    made = workflow(bundle, *names, **overrides)
    with undisturbed():
        made.initialize()
        made.run()
        made.finalize()
    return made


def block(parser: Any, name: str) -> dict[str, Any]:
    """A block of settings, with those that all blocks have in common."""
    shared = parser.get_parsed_content("data_settings")
    counted = ("num_classes", "in_channels")  # checked against the data, and no settings of a block
    return {**parser.get_parsed_content(name), **{key: shared[key] for key in shared if key not in counted}}


@contextmanager
def undisturbed() -> Iterator[None]:
    """Give the process back as it was: bundles change the import path and the hook for errors."""
    path, hook = list(sys.path), sys.excepthook
    try:
        yield
    finally:
        sys.path[:], sys.excepthook = path, hook


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def tree(folder: Path) -> dict[str, int]:
    """The files below a folder with their time of change."""
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
