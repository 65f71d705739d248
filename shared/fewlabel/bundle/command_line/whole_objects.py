"""Which keys differ where a whole object replaces another one."""

from __future__ import annotations

from typing import Any

from monai.bundle import ConfigComponent, ReferenceResolver


def differences(key: str, before: Any, after: Any) -> tuple[list[str], list[str]]:
    """Return the keys that the second of two plain objects has more, and those that it has less.

    A component names what it takes itself, and an object whose keys were no names, as `{"1": 19, "8": 14}`, is a value.
    """
    if not all(isinstance(value, dict) and not ConfigComponent.is_instantiable(value) for value in (before, after)):
        return [], []
    if not all(str(name).isidentifier() for name in before):
        return [], []
    new = [f"{key}{ReferenceResolver.sep}{name}" for name in after if name not in before]
    lost = [f"{key}{ReferenceResolver.sep}{name}" for name in before if name not in after]
    for name in [name for name in after if name in before]:
        added, dropped = differences(f"{key}{ReferenceResolver.sep}{name}", before[name], after[name])
        new += added
        lost += dropped
    return new, lost
