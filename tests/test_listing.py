from __future__ import annotations

import pytest

from fewlabel.listing import first_few, shortened, shown


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


@pytest.mark.parametrize("length", [1_000_000, 2_001])
def test_a_long_message_keeps_its_ends(length: int) -> None:
    text = "the file " + "x" * length + " what to do"
    short = shortened(text)
    assert len(short) < 2050
    assert short.startswith("the file x")
    assert short.endswith("x what to do")
    assert f"[{len(text) - 2000} characters left out]" in short


def test_a_name_without_end_is_short_in_a_list_and_alone() -> None:
    assert len(first_few(["x" * 1_000_000] * 7)) < 5 * 320
    assert len(shown("x" * 1_000_000)) < 130
    assert shown("liver") == "'liver'"
    assert shortened("x" * 2000) == "x" * 2000
