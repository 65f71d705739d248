"""Read `dataset.json`: which value in a label map means what, in nnU-Net's and the Decathlon's way of writing it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MINIMAL = '{"labels": {"background": 0, "organ": 1}}'


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file.

    Raises:
        ValueError: the file is not JSON (with the line), or not an object.

    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))  # Windows editors put a byte order mark first
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}; expected an object in braces")
    return content


def read_labels(path: Path, content: dict[str, Any]) -> dict[int, str]:
    """Read the label names from the content of `dataset.json`.

    nnU-Net v2 writes name to value, the Decathlon and nnU-Net v1 write value to name; both are understood.

    Args:
        path: the file, for messages.
        content: what it holds.

    Returns:
        The names by value, ascending from 0, the background.

    Raises:
        ValueError: no labels, regions or an ignore label, a value that is no whole number, or values with gaps.

    Examples:
        >>> read_labels(Path("dataset.json"), {"labels": {"background": 0, "tumor": 1}})
        {0: 'background', 1: 'tumor'}
        >>> read_labels(Path("dataset.json"), {"labels": {"0": "background", "1": "tumor"}})
        {0: 'background', 1: 'tumor'}

    """
    labels = content.get("labels")
    if not isinstance(labels, dict) or not labels:
        raise ValueError(f"{path} names no labels: write for instance {MINIMAL}")
    if "regions_class_order" in content or any(isinstance(value, list) for value in labels.values()):
        raise ValueError(
            f"{path} describes regions (several values per label), which fewlabel does not support: "
            "give each label one value"
        )
    if "ignore" in labels:
        raise ValueError(f"{path} has nnU-Net's 'ignore' label, which fewlabel does not support: leave it out")
    pairs = [_value_and_name(path, key, value) for key, value in labels.items()]
    names = dict(sorted(pairs))
    if len(names) < len(pairs):
        raise ValueError(f"{path} gives one label value two names: {labels}")
    if list(names) != list(range(len(names))) or len(names) < 2:
        raise ValueError(
            f"{path} has the label values {list(names)}; expected 0 (background), 1, 2, ... without gaps: "
            "renumber the labels, for instance " + MINIMAL
        )
    return names


def _value_and_name(path: Path, key: str, value: object) -> tuple[int, str]:
    if isinstance(value, str) and key.isdecimal() and not value.isdecimal():
        return int(key), value
    if isinstance(value, str) and value.isdecimal() and not key.isdecimal():
        return int(value), key
    if isinstance(value, int) and not isinstance(value, bool):
        return value, key
    raise ValueError(f"{path} has the label {key!r}: {value!r}; expected a name and a whole number, as in {MINIMAL}")
