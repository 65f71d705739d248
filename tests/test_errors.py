from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fewlabel.atomic import atomic_write
from fewlabel.bundle.root import find_root
from fewlabel.data.files.volumes import check_label_values
from fewlabel.errors import is_explained, user_facing_cause
from fewlabel.parsing import parse_bool


def raised_by(call: Callable[[], object]) -> BaseException:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever it is, the caller looks at it
        call()
    return caught.value


def test_what_this_package_raises_about_arguments_and_files_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert is_explained(raised_by(lambda: parse_bool("maybe")))
    assert is_explained(raised_by(lambda: find_root("no bundle of this name")))
    assert is_explained(raised_by(lambda: atomic_write(tmp_path / "file" / "new", b"text")))


def test_a_statement_that_fails_in_this_package_is_not() -> None:
    """`float("a")` raises a ValueError, and leaves no frame of its own."""
    error = raised_by(lambda: check_label_values(Path("label.nii.gz"), ["a"], [0, 1]))  # type: ignore[list-item]
    assert user_facing_cause(error) is error
    assert not is_explained(error)


def test_an_error_from_elsewhere_is_not() -> None:
    assert not is_explained(raised_by(lambda: int("three")))
    assert not is_explained(raised_by(lambda: Path("/nowhere").read_text()))
    assert not is_explained(ValueError("never raised"))
