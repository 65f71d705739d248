from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from fire.parser import DefaultParseValue
from monai.bundle import ConfigWorkflow

from helpers.paths import ROOT

BUNDLES = sorted(path.parents[1].name for path in (ROOT / "bundles").glob("*/configs/train.json"))
# what `make test` trains and runs; the others, whose files it reads all the same, `make test-slow` does
OFTEN_TRAINED = ("supervised", "mcsc", "vnet")
OFTEN_RUN = [pytest.param(name, marks=[] if name in OFTEN_TRAINED else pytest.mark.slow) for name in BUNDLES]
# what makes a step of any method cheap; only the keys that a bundle has are set
TINY = {
    "size": 64,
    "steps": 4,
    "steps_per_epoch": 2,
    "labeled_batch_size": 1,
    "unlabeled_batch_size": 1,
    "groups_per_step": 2,
    "patch_sizes": {"1": 19, "8": 4},
    "bank_size": 400,
    "norm": "instance",
    "lr_power": 0.9,
    "dropout": 0.0,
    "text": "orthonormal",
}
# the same for bundles that work on volumes
TINY_VOLUMES = {
    "size": [32, 32, 16],
    "stride": [32, 32, 16],
    "spacing": [4.4, 4.4, 4.4],
    "channels": 4,
    "lr_network": 0.1,
}


@dataclass(frozen=True)
class Trained:
    """A bundle after two tiny epochs on the phantom."""

    bundle: str
    folder: Path
    workflow: ConfigWorkflow
    strays: list[str]

    @property
    def checkpoint(self) -> Path:
        return self.folder / "models" / "model.pt"


def read_json(path: Path) -> dict[str, Any]:
    """Read an object, refusing a key that is given twice: Python would keep the last one."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        assert not twice, f"{path} gives {twice} twice"
        return dict(pairs)

    return json.loads(path.read_text(), object_pairs_hook=once)


def config(bundle: str | Path, name: str) -> Path:
    return ROOT / "bundles" / bundle / "configs" / f"{name}.json"


def phantom_of(bundle: str | Path) -> str:
    """The kind of phantom on which a bundle demonstrates itself."""
    return read_json(config(bundle, "train"))["cohort"].get("phantom", "cardiac")


def works_on_volumes(bundle: str | Path) -> bool:
    """Whether a bundle's network sees volumes, not slices."""
    image = read_json(config(bundle, "metadata"))["network_data_format"]["inputs"]["image"]
    return len(image["spatial_shape"]) == 3


def classes_of(bundle: str | Path) -> int:
    return read_json(config(bundle, "metadata"))["network_data_format"]["outputs"]["pred"]["num_channels"]


def example(bundle: str | Path, number: int = 1) -> torch.Tensor:
    """Images of the size that the tiny settings train at."""
    shape = (32, 32, 16) if works_on_volumes(bundle) else (64, 64)
    return torch.rand(number, 1, *shape, generator=torch.Generator().manual_seed(0))


def tiny(bundle: str, **changes: Any) -> dict[str, Any]:
    """Overrides that shrink the paper's and the demo's settings."""
    settings = read_json(config(bundle, "train"))
    overrides: dict[str, Any] = {"num_workers": 0}
    for block in ("paper", "demo"):
        small = {**TINY, **(TINY_VOLUMES if works_on_volumes(bundle) else {}), **changes}
        known = {key: value for key, value in small.items() if key in settings[block]}
        if settings[block]["unlabeled_batch_size"] == 0:
            known.pop("unlabeled_batch_size")
        adam = settings["paper"]["optimizer"]["_target_"] == "torch.optim.AdamW"  # whose steps are as long as its rate
        if adam and "lr_network" in known:
            known["lr_network"] = 3e-3
        if settings[block]["norm"] == "layer":  # the same for any batch already
            known.pop("norm")
        overrides.update({f"{block}#{key}": value for key, value in known.items()})
    return overrides


def typed(options: Mapping[str, str]) -> dict[str, Any]:
    """What `python -m monai.bundle run` makes of the words behind its options."""
    return {name: DefaultParseValue(word) for name, word in options.items()}


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


def leaves(value: Any, prefix: str = "") -> dict[str, Any]:
    """Every key of a nested configuration with `#` between levels, inner nodes included."""
    found = {prefix: value} if prefix else {}
    pairs = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        found |= leaves(inner, f"{prefix}#{key}" if prefix else str(key))
    return found
