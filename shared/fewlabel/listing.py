"""Name a few things of many in a message, and a long one by its ends."""

from __future__ import annotations

from collections.abc import Iterable

SHOWN = 5
LONGEST_NAME = 255  # of a label, a channel or a case, in characters: file names are no longer either
_LONGEST_VALUE = 80
_LONGEST_MESSAGE = 2000


def first_few(names: Iterable[object], shown: int = SHOWN) -> str:
    """The first names, and how many more there are.

    >>> first_few(["a", "b"])
    'a, b'
    >>> first_few(f"case{number}" for number in range(140))
    'case0, case1, case2, case3, case4 and 135 more'
    """
    every = list(names)
    more = len(every) - shown
    first = (shortened(str(name), LONGEST_NAME) for name in every[:shown])
    return ", ".join(first) + (f" and {more} more" if more > 0 else "")


def shortened(text: str, longest: int = _LONGEST_MESSAGE) -> str:
    """A text without its middle when it is too long: what is wrong stands first, and what to do last.

    >>> shortened("a" * 1_000_000, 20)
    'aaaaaaaaaa [999980 characters left out] aaaaaaaaaa'
    >>> shortened("short", 20)
    'short'
    """
    half = longest // 2
    if len(text) <= 2 * half:
        return text
    return f"{text[:half]} [{len(text) - 2 * half} characters left out] {text[-half:]}"


def shown(value: object) -> str:
    """A value as Python writes it, for messages: of a file, whose values may be of any length.

    >>> shown("liver"), len(shown("a" * 1_000_000))
    ("'liver'", 110)
    """
    return shortened(repr(value), _LONGEST_VALUE)
