from __future__ import annotations

from pathlib import Path

import pytest

from fewlabel.handlers import TrainingState
from fewlabel.inferers import ResizedSliceInferer
from fewlabel.networks import UNet
from fewlabel.parsing import parse_arguments, parse_bool
from fewlabel.transforms import SliceAugmentationd


class Scan:
    @parse_arguments
    def __init__(self, name: str, flip: bool = True, *, sides: bool = False, count: int = 1) -> None:
        self.given = (name, flip, sides, count)


@pytest.mark.parametrize("word", ["false", "False", "FALSE", False])
def test_a_word_for_false_is_false(word: bool | str) -> None:
    assert not parse_bool(word)
    assert Scan("a", word).given == ("a", False, False, 1)  # type: ignore[arg-type]


def test_only_switches_are_read_as_such() -> None:
    assert Scan("false", sides="true", count=0).given == ("false", True, True, 0)  # type: ignore[arg-type]


@pytest.mark.parametrize("word", ["no", "", 2, None])
def test_what_is_neither_is_refused_with_the_switchs_name(word: object) -> None:
    with pytest.raises(ValueError, match=r"^flip: expected true or false, got "):
        Scan("a", flip=word)  # type: ignore[arg-type]


@pytest.mark.parametrize(("given", "read"), [("null", None), (None, None), (8, 8), ("off", "off")])
def test_null_is_none_where_none_may_stand(given: object, read: object) -> None:
    @parse_arguments
    def sizes(side: int | None, name: str = "null", part: Path | None = None) -> tuple[object, ...]:
        return side, name, part

    assert sizes(given) == (read, "null", None)  # type: ignore[arg-type]


def test_a_missing_argument_is_missing_still() -> None:
    with pytest.raises(TypeError, match="name"):
        Scan()  # type: ignore[call-arg]


def test_the_switches_of_the_documentation_read_words(tmp_path: object) -> None:
    assert SliceAugmentationd((8, 8), flips="false").flips is False  # type: ignore[arg-type]
    assert ResizedSliceInferer((8, 8), released_resize="true").released_resize is True  # type: ignore[arg-type]
    assert TrainingState(f"{tmp_path}/state.pt", resume="false").resume is False  # type: ignore[arg-type]
    assert sum(p.numel() for p in UNet(xavier_head="false").parameters()) == 1_813_764  # type: ignore[arg-type]
