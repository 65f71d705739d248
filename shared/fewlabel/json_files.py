"""Read JSON that people and other programs wrote: what is wrong with it is one sentence that names the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fewlabel.links import require_content
from fewlabel.listing import shown

_DEEPEST = 100  # levels; what a hundred levels hold, no program here reads, and Python ends at some hundreds


def read_json(path: Path, kind: str = "JSON") -> Any:
    """Return what a JSON file holds.

    Args:
        path: the file, in UTF-8, with or without a byte order mark.
        kind: what the file is to be, for messages.

    Raises:
        FileNotFoundError: there is no such file, or a link in place of its content.
        ValueError: the file is no JSON (with the line), gives a key twice, of which Python would keep the last, or
            is nested too deeply.

    """
    require_content(path)
    return parse_json(path.read_bytes(), path, kind)


def parse_json(content: bytes, path: object, kind: str = "JSON") -> Any:
    """Return what the content of a JSON file is; see :func:`read_json`."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for number, key in enumerate(keys) if key in keys[:number])
            raise _TwiceError(f"{path} gives the key {shown(twice)} twice: remove one of them")
        return found

    try:
        # Windows editors put a byte order mark first
        found = json.loads(content.decode("utf-8-sig"), object_pairs_hook=once)
    except _TwiceError as error:
        raise ValueError(str(error)) from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not valid {kind}: no text in UTF-8 ({error}); save it as UTF-8") from error
    except ValueError as error:
        raise ValueError(f"{path} is not valid {kind}: {error}") from error
    except RecursionError:
        raise ValueError(f"{path} is not valid {kind}: {_too_deep()}") from None
    require_flat(found, path, kind)
    return found


def require_flat(content: Any, path: object, kind: str = "JSON") -> None:
    """Refuse lists and objects within each other beyond what any program here reads.

    Raises:
        ValueError: there are more than a hundred levels.

    """
    level = [content]
    for _ in range(_DEEPEST):
        level = [
            inner
            for value in level
            if isinstance(value, (dict, list))
            for inner in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return
    raise ValueError(f"{path} is not valid {kind}: {_too_deep()}")


class _TwiceError(ValueError):
    pass


def _too_deep() -> str:
    return f"lists and objects are nested more than {_DEEPEST} levels deep; write it flat"
