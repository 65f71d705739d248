"""Name a few things of many in a message."""

from __future__ import annotations

from collections.abc import Iterable

SHOWN = 5


def first_few(names: Iterable[object], shown: int = SHOWN) -> str:
    """The first names, and how many more there are.

    >>> first_few(["a", "b"])
    'a, b'
    >>> first_few(f"case{number}" for number in range(140))
    'case0, case1, case2, case3, case4 and 135 more'
    """
    every = [str(name) for name in names]
    more = len(every) - shown
    return ", ".join(every[:shown]) + (f" and {more} more" if more > 0 else "")
