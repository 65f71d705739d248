"""What ``train.json`` and ``inference.json`` must have for the zoo, MONAI Label and ``monai.bundle``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fewlabel.bundle.verify.contents import Contents, has, reach
from fewlabel.bundle.verify.expressions import strange_words
from fewlabel.bundle.verify.report import Finding, judge

TRAIN_KEYS = (
    "bundle_root", "device", "dataset_dir", "output_dir", "network_def", "network", "run", "train#trainer",
    "train#trainer#max_epochs", "train#dataset", "train#dataset#data", "train#handlers", "train#inferer",
    "train#preprocessing", "validate#evaluator", "validate#handlers", "validate#dataset", "validate#dataset#data",
    "validate#preprocessing", "validate#postprocessing", "validate#inferer", "validate#key_metric",
)  # fmt: skip
INFERENCE_KEYS = (
    "bundle_root", "device", "dataset_dir", "output_dir", "network_def", "dataset", "evaluator", "inferer",
    "preprocessing", "postprocessing", "run",
)  # fmt: skip
GUARD = "$fewlabel.bundle.require_same_package(@bundle_root)"


def config_rules(contents: Contents) -> Iterator[Finding]:
    """Yield the findings on configs."""
    train, inference = contents["configs/train.json"], contents["configs/inference.json"]
    fix = "hosts look for these keys: define them, with _disabled_ if they have no use"
    for name, config, required in (("train.json", train, TRAIN_KEYS), ("inference.json", inference, INFERENCE_KEYS)):
        missing = [f"no {key}" for key in required if not has(config, key)]
        yield judge(f"keys of {name}", missing, fix, f"{len(required)} required ones")
    yield judge(
        "train#handlers",
        _handlers(reach(train, "train#handlers")),
        "MONAI Label looks into them: write a list of objects, no reference and no expression",
        "a literal list",
    )
    yield judge(
        "no initialize",
        [f"{path} has initialize" for path, config in contents.configs.items() if "initialize" in config],
        "it runs before the bundle's folder is on the import path: put its lines first in run",
        "in none of them",
    )
    yield judge(
        "guard against another fewlabel",
        [
            f"network_def of {name} lacks it"
            for name, config in (("train.json", train), ("inference.json", inference))
            if reach(config, "network_def#_requires_") != GUARD
        ],
        f'put "_requires_": "{GUARD}" first into network_def: a server shares one copy between bundles',
        "in both network_def",
    )
    yield judge(
        "what configs run",
        sorted({f"{path}: {word}" for path, config in contents.configs.items() for word in strange_words(config)})[:8],
        "configs may use torch, monai and fewlabel; for anything else, read the config before you run it",
        "torch, monai and fewlabel only",
    )


def _handlers(handlers: Any) -> list[str]:
    if not isinstance(handlers, list):
        return [f"is {handlers!r}"]
    strange = [handler for handler in handlers if not _is_literal(handler)]
    return [f"has {handler!r}" for handler in strange]


def _is_literal(handler: Any) -> bool:
    return isinstance(handler, Mapping) and isinstance(handler.get("_target_"), str) and handler["_target_"][:1] != "$"
