"""Which bundles this server works with, and what their files say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

WEIGHTS = "models/model.pt"
SECOND_WEIGHTS = "models/model_second.pt"


def find_bundles(app_dir: str, conf: Mapping[str, str]) -> dict[str, Path]:
    """Return the folders of the bundles to serve, by name.

    They are in the folder ``bundles_dir`` of the server's configuration, else in ``model`` of the app; ``models`` names
    those to serve, with commas between; all of them when it is left out.

    Raises:
        FileNotFoundError: there is no such folder, or a named bundle is not in it.
        ValueError: there is no bundle in the folder.
    """
    folder = Path(conf.get("bundles_dir") or Path(app_dir) / "model").resolve()
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder}: no such folder; unzip bundles into it, or name another: --conf bundles_dir PATH"
        )
    found = {path.name: path for path in sorted(folder.iterdir()) if (path / "configs" / "inference.json").is_file()}
    if not found:
        raise ValueError(
            f"{folder}: no bundle in it, none of its folders holds configs/inference.json; unzip one there"
        )
    if not conf.get("models"):
        return found
    names = [name.strip() for name in conf["models"].split(",")]
    if missing := [name for name in names if name not in found]:
        raise FileNotFoundError(f"{folder}: no bundle called {', '.join(missing)}; there are {', '.join(found)}")
    return {name: found[name] for name in names}


def read_config(bundle: Path, name: str) -> dict[str, Any]:
    """Return a file of ``configs`` as it is written, nothing evaluated; empty if there is none."""
    file = bundle / "configs" / f"{name}.json"
    config: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return config


def has_second_network(bundle: Path) -> bool:
    """Return whether the bundle's method trains two students."""
    return bool(read_config(bundle, "inference").get("second_network_def"))


def students(bundle: Path) -> tuple[str, ...]:
    """Return the files that hold the weights of a method's two students; two decoders of one network share theirs."""
    shared = read_config(bundle, "inference").get("second_checkpoint") == "@checkpoint"
    return (WEIGHTS,) if shared else (WEIGHTS, SECOND_WEIGHTS)


def noted_settings(bundle: Path) -> dict[str, Any]:
    """Return the settings that the weights were trained with, see ``fewlabel.bundle.training_settings``."""
    note = (bundle / WEIGHTS).with_suffix(".json")
    noted: dict[str, Any] = json.loads(note.read_text(encoding="utf-8")) if note.is_file() else {}
    return noted
