from __future__ import annotations

import pytest

from fewlabel.listing import first_few


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], ""),
        (["a"], "a"),
        (list("abcde"), "a, b, c, d, e"),
        (list("abcdef"), "a, b, c, d, e and 1 more"),
        (range(140), "0, 1, 2, 3, 4 and 135 more"),
    ],
)
def test_a_list_names_the_first_five_and_counts_the_others(names: list[object], text: str) -> None:
    assert first_few(names) == text
