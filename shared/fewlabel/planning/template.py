"""The configs of a bundle that a plan starts from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fewlabel.json_files import read_json
from fewlabel.launch import bundle_folder


@dataclass(frozen=True)
class Template:
    """A bundle's `train.json`, and its `small.json`, whose values hold where a rule has no reason to change them.

    Args:
        bundle: the bundle's name.
        train: the content of `train.json`.
        small: the content of `small.json`: values by key, `#` between levels.
        file: `train.json`.
    """

    bundle: str
    train: Mapping[str, Any]
    small: Mapping[str, Any]
    file: Path

    @property
    def kind(self) -> Literal["slices", "volumes"]:
        """What the bundle's networks see."""
        return "volumes" if self.has("paper#spacing") else "slices"

    def has(self, key: str) -> bool:
        """Return whether `train.json` has a key, `#` between levels."""
        return self._find(key)[0]

    def value(self, key: str) -> Any:
        """Return what a training run with `small.json` would have at a key.

        Raises:
            KeyError: `train.json` has no such key.
        """
        found, value = self._find(key)
        if not found:
            raise KeyError(key)
        return self.small.get(key, value)

    def _find(self, key: str) -> tuple[bool, Any]:
        node: Any = self.train
        for part in key.split("#"):
            if isinstance(node, Mapping) and part in node:
                node = node[part]
            elif isinstance(node, list) and part.isdigit() and int(part) < len(node):
                node = node[int(part)]
            else:
                return False, None
        return True, node


def read_template(bundle: str | os.PathLike[str]) -> Template:
    """Read the configs of a bundle.

    Args:
        bundle: its name or folder.

    Raises:
        FileNotFoundError: no such bundle, or one without `train.json` or `small.json`.
        ValueError: a config is no JSON.
    """
    folder = bundle_folder(bundle).resolve()
    files = [folder / "configs" / f"{name}.json" for name in ("train", "small")]
    for file in files:
        if not file.is_file():
            raise FileNotFoundError(f"{file}: no such file, and a plan starts from it; name another bundle")
    train, small = (_read(file) for file in files)
    return Template(folder.name, train, small, files[0])


def _read(file: Path) -> dict[str, Any]:
    content = read_json(file)
    if not isinstance(content, dict):
        raise ValueError(f"{file} holds a {type(content).__name__}; expected an object in braces")
    return content
