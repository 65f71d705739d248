"""Files that are too large for the model zoo's repository: where they are fetched from instead."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

LARGE_FILES = "large_files.yml"
LIMIT_MB = 25  # the zoo's
_KEYS = {"path", "url", "hash_val", "hash_type"}


def entry(path: str, file: Path, url: str) -> dict[str, str]:
    """Return what ``python -m monai.bundle download_large_files`` needs to fetch and check a file.

    Args:
        path: the file's path in the bundle.
        file: the file itself.
        url: address of the folder that has the file under ``path``.
    """
    with open(file, "rb") as stream:
        digest = hashlib.sha256()
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return {
        "path": path,
        "url": f"{url.rstrip('/')}/{path}",
        "hash_val": digest.hexdigest(),
        "hash_type": "sha256",
    }


def dump(entries: Sequence[Mapping[str, Any]]) -> bytes:
    """Return the text of ``large_files.yml``."""
    ordered = sorted((dict(item) for item in entries), key=lambda item: str(item["path"]))
    return yaml.safe_dump({"large_files": ordered}, sort_keys=False).encode()


def parse(text: str | bytes, name: str | os.PathLike[str] = LARGE_FILES) -> list[dict[str, Any]]:
    """Return the entries of a ``large_files.yml``.

    Raises:
        ValueError: it is no YAML, or not a list of files each with ``path`` and ``url``.
    """
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{name}: not valid YAML ({reason})") from error
    files = content.get("large_files") if isinstance(content, dict) else None
    if not isinstance(files, list) or not all(isinstance(item, dict) for item in files):
        raise ValueError(f"{name}: expected a list `large_files` of entries with path and url")
    for item in files:
        if not {"path", "url"} <= item.keys() <= _KEYS:
            raise ValueError(f"{name}: an entry has {sorted(map(str, item))}; expected path, url, hash_val, hash_type")
    return files
