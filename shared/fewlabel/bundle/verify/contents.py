"""The files that a verification looks at, in a folder or in a zip, and the JSON in them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fewlabel.bundle.checkpoint import NETWORKS
from fewlabel.bundle.verify.report import Finding, judge
from fewlabel.bundle.verify.zips import ZipFiles

NOTED = (*NETWORKS, "models/model.json")
CONFIGS = ("configs/metadata.json", "configs/inference.json", "configs/train.json")
_MAX_JSON = 2**20


class FolderFiles:
    """The files of a bundle's folder, but for what runs left behind: `eval/`, other weights, hidden files.

    Args:
        folder: the bundle's folder.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.place = Path(folder).resolve()
        self.name = self.place.name
        found = (path for path in sorted(self.place.rglob("*")) if path.is_file())
        self._files = {path.relative_to(self.place).as_posix(): path for path in found}
        self._files = {path: file for path, file in self._files.items() if _belongs(path)}
        self.sizes = {path: file.stat().st_size for path, file in self._files.items()}

    def read(self, path: str) -> bytes:
        """Return the content of a file."""
        return self._files[path].read_bytes()


def _belongs(path: str) -> bool:
    parts = path.split("/")
    if any(part.startswith(".") or part == "__pycache__" for part in parts):
        return False
    return parts[0] != "eval" and (parts[0] != "models" or path in NOTED)


BundleFiles = FolderFiles | ZipFiles


class Contents:
    """A bundle's files, its configs parsed, and what was wrong with them.

    Args:
        files: the files.
    """

    def __init__(self, files: BundleFiles) -> None:
        self.files = files
        self.problems: list[str] = []
        paths = {path for path in files.sizes if path.startswith("configs/") and path.endswith(".json")}
        paths |= {"models/model.json"} & files.sizes.keys()
        self.configs = {path: self._object(path) for path in sorted(paths)}

    def __getitem__(self, path: str) -> dict[str, Any]:
        """Return a parsed config, an empty one if it is missing or broken."""
        return self.configs.get(path) or {}

    def check(self) -> Iterator[Finding]:
        """Yield the finding on JSON."""
        fine = f"{len(self.configs)} files, no key given twice"
        yield judge("JSON", self.problems, "correct the file; Python would keep the last of two equal keys", fine)

    def _object(self, path: str) -> dict[str, Any]:
        if self.files.sizes[path] > _MAX_JSON:
            self.problems.append(f"{path} has {self.files.sizes[path]:,} bytes, more than {_MAX_JSON:,}")
            return {}
        try:
            content = json.loads(self.files.read(path).decode("utf-8"), object_pairs_hook=self._once(path))
        except (ValueError, RecursionError) as error:
            self.problems.append(f"{path}: {error or 'nested too deeply'}")
            return {}
        if not isinstance(content, dict):
            self.problems.append(f"{path} is no object")
            return {}
        return content

    def _once(self, path: str) -> Any:
        def build(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            keys = [key for key, _ in pairs]
            self.problems += [f"{path} gives {key!r} twice" for key in sorted(set(keys)) if keys.count(key) > 1]
            return dict(pairs)

        return build


def reach(config: Mapping[str, Any], key: str) -> Any:
    """Return the value at `a#b#c` of a nested config, None if there is none."""
    place: Any = config
    for part in key.split("#"):
        if not isinstance(place, dict) or part not in place:
            return None
        place = place[part]
    return place


def has(config: Mapping[str, Any], key: str) -> bool:
    """Return whether a nested config has a value, null included, at `a#b#c`."""
    above, _, last = key.rpartition("#")
    place = reach(config, above) if above else config
    return isinstance(place, dict) and last in place
