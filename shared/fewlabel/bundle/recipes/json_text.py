"""JSON as people write it: numbers keep their spelling, and lines are filled up to 120 columns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

WIDTH = 120
_STEP = "  "


class Numeral(float):
    """A number that remembers how it was written, so that 5e-4 does not come back as 0.0005.

    Args:
        literal: the number as it stands in the JSON.
    """

    literal: str

    def __new__(cls, literal: str | float) -> Numeral:
        """Make the number from its literal; copying passes the number itself and restores the literal afterwards."""
        number = super().__new__(cls, literal)
        number.literal = str(literal)
        return number


def read_json(file: Path, text: str | None = None) -> dict[str, Any]:
    """Return the object in a JSON file, its floating point numbers as :class:`Numeral`.

    Args:
        file: where the text is from, for messages; it is read when ``text`` is left out.
        text: the JSON.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no JSON in UTF-8, no object, or gives a key twice, of which Python would keep the last.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise ValueError(f"{file}: gives the key {twice[0]!r} twice; remove one of them")
        return dict(pairs)

    def no_number(literal: str) -> float:
        raise ValueError(f"{file}: {literal} is no JSON; write a number, or null")

    if text is None:
        if not file.is_file():
            raise FileNotFoundError(f"{file}: no such file; add it")
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"{file}: no text in UTF-8 ({error}); save it as UTF-8") from error
    try:
        content = json.loads(text, object_pairs_hook=once, parse_float=Numeral, parse_constant=no_number)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{file}: no valid JSON ({error}); correct it") from error
    if not isinstance(content, dict):
        raise ValueError(f"{file}: expected a JSON object, found {type(content).__name__}")
    return content


def format_json(content: dict[str, Any]) -> str:
    """Return the text of an object: one key of the outermost object per line, lists and small objects on one line.

    What does not fit on one line is filled: plain values stand side by side up to 120 columns, a value with an
    object in it has lines of its own. Keys of MONAI's machinery such as ``_target_`` come first in their object.

    >>> print(format_json({"a": [1, 2], "b": {"x": 1, "_target_": "T"}}), end="")
    {
      "a": [1, 2],
      "b": {"_target_": "T", "x": 1}
    }
    """
    items = list(_items(content))
    lines = [_entry(key, value, _STEP, last=number == len(items)) for number, (key, value) in enumerate(items, start=1)]
    return "\n".join(["{", *lines, "}", ""])


def _items(content: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    machinery = [key for key in content if key.startswith("_") and key.endswith("_")]
    for key in [*machinery, *(key for key in content if key not in machinery)]:
        yield key, content[key]


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k, ensure_ascii=False)}: {_inline(v)}" for k, v in _items(value)) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_inline(item) for item in value) + "]"
    return value.literal if isinstance(value, Numeral) else json.dumps(value, ensure_ascii=False, allow_nan=False)


def _entry(key: str | None, value: Any, indent: str, last: bool) -> str:
    head = indent if key is None else f"{indent}{json.dumps(key, ensure_ascii=False)}: "
    end = "" if last else ","
    short = f"{head}{_inline(value)}{end}"
    if len(short) <= WIDTH or not isinstance(value, (dict, list)) or not value:
        return short
    pairs = list(_items(value)) if isinstance(value, dict) else [(None, item) for item in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return "\n".join([f"{head}{opening}", *_filled(pairs, indent + _STEP), f"{indent}{closing}{end}"])


def _filled(pairs: list[tuple[str, Any]] | list[tuple[None, Any]], indent: str) -> Iterator[str]:
    line = ""
    for number, (key, value) in enumerate(pairs, start=1):
        entry = _entry(key, value, indent, last=number == len(pairs))
        alone = _has_object(value) or "\n" in entry
        if line and not alone and len(line) + len(entry) - len(indent) + 1 <= WIDTH:
            line += " " + entry.removeprefix(indent)
            continue
        if line:
            yield line
        line = "" if alone else entry
        if alone:
            yield entry
    if line:
        yield line


def _has_object(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(_has_object(item) for item in value))
