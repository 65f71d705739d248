"""Settings of a plan, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Setting:
    """One key of the plan.

    Args:
        key: a key of `train.json`, `#` between levels.
        value: its value.
        reason: why, in a few words.
    """

    key: str
    value: Any
    reason: str

    def __str__(self) -> str:
        return f"{self.key} {self.value}: {self.reason}"


def replaced(settings: list[Setting], *newer: Setting) -> list[Setting]:
    """Return the settings with newer ones in place of those of the same keys; new keys come last.

    >>> [setting.value for setting in replaced([Setting("a", 1, ""), Setting("b", 2, "")], Setting("a", 3, ""))]
    [3, 2]
    """
    by_key = {setting.key: setting for setting in (*settings, *newer)}
    return list(by_key.values())
