"""Merge a recipe's changes into a config as MONAI does, but notice typing errors and order new keys."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from monai.bundle import ConfigParser
from monai.bundle.utils import merge_kv


def overlay(base: Mapping[str, Any], changes: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return a config with changes, which mean what they mean in a second ``--config_file`` of ``monai.bundle run``.

    ``"a#b": value`` replaces what is there; ``"+a": {...}`` adds keys to an object, ``"+a": [...]`` items to a list.
    MONAI takes a mistyped ``a#b`` for a new key; here only ``"+a": value`` can add one. A new key of the outermost
    object goes before the one that follows it in the changes, so a definition can stand before its use.

    Args:
        base: the config; it is left as it is.
        changes: the values by their path.
        where: the file and section of the changes, for messages.

    Raises:
        ValueError: a plain key changes nothing that is there, or a key with ``+`` meets a value of another kind.
    """
    parser = ConfigParser(copy.deepcopy(dict(base)), globals=False)
    for key, value in changes.items():
        path = key.removeprefix("+")
        if path in parser:
            _same_kind(key, parser[path], value, where)
            merge_kv(parser, key, copy.deepcopy(value))
        elif not key.startswith("+"):
            raise ValueError(
                f"{where}: there is no {key!r} to change; correct the path, or write '+{key}' to add a new entry"
            )
        elif path.rpartition("#")[0] not in ("", *_objects(parser, path)):
            raise ValueError(f"{where}: {key!r} has no object above it; correct the path")
        else:
            parser[path] = copy.deepcopy(value)
    return _ordered(parser.get(), set(base), [key.removeprefix("+") for key in changes])


def _same_kind(key: str, found: Any, value: Any, where: str) -> None:
    if not key.startswith("+"):
        return
    for kind, name in ((dict, "an object"), (list, "a list")):
        if isinstance(found, kind) and isinstance(value, kind):
            return
        if isinstance(found, kind):
            raise ValueError(f"{where}: {key!r} adds to {name} and must be {name} too; without + it replaces that")
    raise ValueError(f"{where}: {key!r} is there already as {found!r}; write it without + to replace it")


def _objects(parser: Any, path: str) -> list[str]:
    above = path.rpartition("#")[0]
    return [above] if above and above in parser and isinstance(parser[above], dict) else []


def _ordered(config: dict[str, Any], known: set[str], changed: list[str]) -> dict[str, Any]:
    """Move each new key before the next changed one that was known, the last ones behind the changed one before."""
    outer = [key for key in changed if "#" not in key]
    keys = [key for key in config if key in known]
    for key in reversed(outer):
        if key in known:
            continue
        following = [other for other in outer[outer.index(key) + 1 :] if other in keys]
        before = [other for other in outer[: outer.index(key)] if other in known]
        place = keys.index(following[0]) if following else keys.index(before[-1]) + 1 if before else len(keys)
        keys.insert(place, key)
    return {key: config[key] for key in keys}
