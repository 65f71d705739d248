from __future__ import annotations

import pytest

from fewlabel.launch.arguments import missing_arguments


def embed(*names: str, out: str, model: str | None = None) -> None:
    """A command whose words are any number of names."""


def pack(bundle: str, to_folder: str, weights: bool = True) -> None:
    """A command of two required arguments."""


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        ([], ["bundle", "to_folder"]),
        (["mcsc"], ["to_folder"]),
        (["mcsc", "dist"], []),
        (["mcsc", "dist", "surplus"], []),
        (["--weights", "mcsc", "dist"], ["to_folder"]),
        (["--weights=false", "mcsc", "dist"], []),
        (["--to-folder", "dist"], ["bundle"]),
        (["--to_folder=dist", "mcsc"], []),
    ],
)
def test_what_words_and_options_do_not_give_is_missing(words: list[str], missing: list[str]) -> None:
    assert missing_arguments(pack, words) == missing


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["-b", "mcsc"], ["--", "--trace"], ["-1"], ["-"]])
def test_help_and_what_fire_reads_in_its_own_way_are_left_to_fire(words: list[str]) -> None:
    assert missing_arguments(pack, words) == []


def test_an_argument_that_only_an_option_can_give_is_missing_however_many_words_there_are() -> None:
    assert missing_arguments(embed, ["liver", "spleen"]) == ["out"]
    assert missing_arguments(embed, ["liver", "--out", "text.pt"]) == []
    assert missing_arguments(embed, ["--out", "text.pt"]) == []
