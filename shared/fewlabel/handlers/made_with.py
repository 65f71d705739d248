"""What a training run was made with, and in what another one differs."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import monai
import torch
from torch import nn

from fewlabel.data.files.checksums import scan_checksum
from fewlabel.data.streams.flat_settings import flat_settings
from fewlabel.data.streams.transform_description import describe_transforms
from fewlabel.listing import first_few
from fewlabel.version import __version__

Record = dict[str, Any]

# where things lie, how much is done at a time and by how many, and what a run counts: no result depends on it
_PASSING = frozenset(
    {
        "cache_dir", "data", "device", "files", "folder", "index", "num_workers", "path", "pin_memory",
        "pretrained_path", "step", "sw_batch_size", "_maps", "optimizer", "student",
        "base_lrs", "last_epoch", "_get_lr_called_within_step", "_initial_step", "_is_initial", "_last_lr",
        "_step_count",
    }
)  # fmt: skip
# of optimizers, what is state or only a way to compute the same
_OF_OPTIMIZER = frozenset({"params", "lr", "initial_lr", "name", "foreach", "fused", "capturable", "differentiable"})
# settings that say how long a run is, and follow from its number of epochs
_LENGTHS = frozenset({"steps", "total_steps", "warmup_steps", "total_iters", "T_max"})
_SHOWN = 8


def made_with(
    engine: Any, method: nn.Module, evaluator: Any = None, settings: Mapping[str, Any] | None = None
) -> Record:
    """Return what decides the result of a training run, as plain values that can be saved with its state.

    All of it is read from the objects that will train, so that nothing is left out however they were set up. Of the
    data the content counts and not its place; files are read once. Where things lie, the number of workers and the
    intervals of saving and validating are left out.

    Args:
        engine: a :class:`fewlabel.engines.SemiSupervisedTrainer` that has not begun.
        method: its method, not wrapped.
        evaluator: the evaluator that validates, whose cases and inferer choose the best epoch.
        settings: the run's settings by name, as its config has them.
    """
    found: dict[str, str] = flat_settings(dict(settings or {}), "settings", _PASSING)
    found |= flat_settings(dict(engine.weights), "weights", _PASSING)
    for number, optimizer in enumerate(engine.optimizers):
        found[f"optimizer{number}"] = type(optimizer).__qualname__
        for index, group in enumerate(optimizer.param_groups):
            options = {key: value for key, value in group.items() if key not in _OF_OPTIMIZER}
            options["lr"] = float(group.get("initial_lr", group["lr"]))
            found |= flat_settings(options, f"optimizer{number}.{group.get('name', index)}", _PASSING)
    for number, scheduler in enumerate(engine.lr_schedulers):
        found |= flat_settings(scheduler, f"lr_scheduler{number}", _PASSING)
    found |= flat_settings({"clip_norm": engine.clip_norm}, "trainer", _PASSING)
    found |= flat_settings(method, "method", _PASSING)
    found |= flat_settings(engine.data_loader, "data_loader", _PASSING)
    data = {name: _items(getattr(engine.data_loader, name, None)) for name in ("labeled", "unlabeled")}
    if getattr(engine.data_loader, "unlabeled_batch_size", None) == 0:
        data["unlabeled"] = {}
    if evaluator is not None:
        dataset = evaluator.data_loader.dataset
        data["validation"] = _items(dataset)
        chosen = {"inferer": evaluator.inferer, "transform": getattr(dataset, "transform", None)}
        found |= flat_settings(chosen, "validation", _PASSING | {"batch_size"})
    return {
        "settings": found,
        "data": data,
        "device": engine.state.device.type,
        "bfloat16": bool(engine.use_bfloat16),
        "max_epochs": int(engine.state.max_epochs),
        "versions": {
            "fewlabel": __version__, "monai": monai.__version__, "torch": str(torch.__version__),
            "python": platform.python_version(),
        },
    }  # fmt: skip


def _items(dataset: Any) -> dict[str, dict[str, str]]:
    """Return the checksums of image and label of each item, in order, by the volume's name."""
    items = getattr(dataset, "data", None)
    if items is None:
        return {}
    if not _are_files(items):
        return {"items": {"values": describe_transforms(items)}}
    found: dict[str, dict[str, str]] = {}
    for item in items:
        name = str(item.get("volume", Path(str(item["image"])).name))
        kept = {"image": scan_checksum(item["image"], whole=False)}
        found[name] = {**kept, **({"label": scan_checksum(item["label"])} if "label" in item else {})}
    return found


def _are_files(items: Iterable[Any]) -> bool:
    return all(isinstance(item, Mapping) and isinstance(item.get("image"), str | Path | list | tuple) for item in items)


def differences(before: Record, now: Record) -> list[str]:
    """Return in what this run differs from the one that a state was made with, as far as results depend on it.

    More epochs than before are no difference: schedules and ramps then follow the new length.
    """
    longer = now["max_epochs"] != before["max_epochs"]
    found = _in_settings(before["settings"], now["settings"], _LENGTHS if longer else frozenset())
    if now["max_epochs"] < before["max_epochs"]:
        found.append(f"max_epochs: {before['max_epochs']}, now {now['max_epochs']}")
    if now["device"] == before["device"] and now["bfloat16"] != before["bfloat16"]:
        found.append(f"amp: {before['bfloat16']}, now {now['bfloat16']}")
    for split in {**before["data"], **now["data"]}:
        found += _in_data(split, before["data"].get(split, {}), now["data"].get(split, {}))
    return found


def _in_settings(before: Mapping[str, str], now: Mapping[str, str], passing: frozenset[str]) -> list[str]:
    names = [name for name in {**before, **now} if name.rpartition(".")[2] not in passing]
    nothing = "not there"
    return [
        f"{name}: {before.get(name, nothing)}, now {now.get(name, nothing)}"
        for name in names
        if before.get(name, nothing) != now.get(name, nothing)
    ]


def _in_data(split: str, before: Mapping[str, Mapping[str, str]], now: Mapping[str, Mapping[str, str]]) -> list[str]:
    both = [name for name in before if name in now]
    listed = {
        f"{split} cases that are gone": [name for name in before if name not in now],
        f"{split} cases that are new": [name for name in now if name not in before],
        f"images of {split} cases with other content": [
            n for n in both if before[n].get("image") != now[n].get("image")
        ],
        f"labels of {split} cases with other content": [
            n for n in both if before[n].get("label") != now[n].get("label")
        ],
        f"{split} items with other content": [n for n in both if before[n].get("values") != now[n].get("values")],
    }
    found = [f"{what}: {first_few(names)}" for what, names in listed.items() if names]
    if not found and list(before) != list(now):
        found.append(f"the order of the {split} cases")
    return found


def other_surroundings(before: Record, now: Record) -> list[str]:
    """Return in what the device and the versions of packages differ, which change the last digits of a result."""
    old, new = ({"device": record["device"], **record["versions"]} for record in (before, now))
    return [f"{name} {old.get(name)}, now {value}" for name, value in new.items() if old.get(name) != value]


def listed(changes: list[str]) -> str:
    """Return the first changes as one text."""
    more = len(changes) - _SHOWN
    return "; ".join(changes[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")
