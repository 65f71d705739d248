"""Overlays of `train.json` by the words behind `--with`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from fewlabel.json_files import read_json

# files of configs/ that are complete alone, or that a command adds itself
_NO_OVERLAYS = {"train", "inference", "evaluate", "metadata"}
_ENDINGS = (".json", ".yaml", ".yml")


def overlay(configs: Path, name: str) -> Path:
    """Return the file of an overlay.

    Args:
        configs: the bundle's folder configs.
        name: the name of one of the bundle's overlays, as ``small`` or ``small.json``; or a file of
            one's own, as ``plan.json``, which comes before the bundle's of that name.

    Raises:
        FileNotFoundError: neither; the message names the overlays that the bundle has.
        ValueError: the file is no JSON or YAML, gives a key twice, or is not an object, about which MONAI says nothing,
            or not which file it is.
    """
    file = _find(configs, name)
    content = _content(file)
    if not isinstance(content, dict):
        raise ValueError(f"{file} holds a {type(content).__name__}; an overlay is one object, of keys and values")
    return file


def _content(file: Path) -> Any:
    if file.suffix == ".json":
        return read_json(file)
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{file} is not valid YAML in UTF-8: {reason}; write an object of keys and values") from error


def _find(configs: Path, name: str) -> Path:
    known = sorted(file.stem for file in configs.glob("*.json") if file.stem not in _NO_OVERLAYS)
    if name in known:
        return configs / f"{name}.json"
    own = Path(name).absolute()
    if own.is_file() and own.suffix in _ENDINGS:
        return own
    if name.removesuffix(".json") in known:
        return configs / name
    raise FileNotFoundError(
        f"--with {name}: no such overlay; {configs.parent.name} has {', '.join(known) or 'none'}; name one of them, or "
        "a file that ends in .json, .yaml or .yml"
    )


def split_names(words: list[str]) -> list[str]:
    """Split what was typed after ``--with`` at commas, except the name of a file that is there."""
    return [name for word in words for name in ([word] if Path(word).is_file() else word.split(","))]
