"""Which keys the values of a config refer to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from monai.bundle import ConfigParser, ReferenceResolver


def referred_keys(config: Any, key: str = "") -> set[str]:
    """Return all keys that some value refers to."""
    if isinstance(config, (dict, list)):
        below = ReferenceResolver.iter_subconfigs(key, config)
        return {name for _, inner, value in below for name in referred_keys(value, inner)}
    if not isinstance(config, str):
        return set()
    value = ConfigParser.resolve_relative_ids(key, config)
    macro = [ConfigParser.split_path_id(value[1:])[1]] if value.startswith("%") else []
    return {*ReferenceResolver.match_refs_pattern(value), *macro}


def prefixes(key: str) -> Iterator[str]:
    """Yield a, a::b and a::b::c of a::b::c."""
    parts = ReferenceResolver.split_id(key)
    return (ReferenceResolver.sep.join(parts[:length]) for length in range(1, len(parts) + 1))
