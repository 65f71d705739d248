"""Find the key that a misspelled one was meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from monai.bundle import ConfigComponent, ConfigParser, ReferenceResolver

from fewlabel.bundle.command_line.components import ANY, arguments


def nearest_key(parser: ConfigParser, key: str, known: Sequence[str]) -> str:
    """Return the same name elsewhere, else a similar one in the same place, else the most similar of all.

    Args:
        parser: the configuration.
        key: the misspelled key.
        known: the keys of the configuration that are spelled well.

    """
    settings = [name for name in known if not _name(name).startswith("_")]
    elsewhere = [other for other in settings if _name(other) == _name(key)]
    beside = [other for other in settings if _above(other) == _above(key)]
    component = parser.get(_above(key), {})
    if ConfigComponent.is_instantiable(component):
        names = arguments(component) - {ANY} - ConfigComponent.non_arg_keys
        beside += [f"{_above(key)}{ReferenceResolver.sep}{name}" for name in sorted(names)]
    similar = difflib.get_close_matches(key, beside) or difflib.get_close_matches(key, settings, cutoff=0)
    return [*elsewhere, *similar][0]


def _name(key: str) -> str:
    return str(ReferenceResolver.split_id(key)[-1])


def _above(key: str) -> str:
    return str(ReferenceResolver.split_id(key, last=True)[0])
