"""What the groups of a pattern make of file names."""

from __future__ import annotations

import re

import pytest

from helpers.own_folders import Folders

STACK = r"(?P<name>.+)_(?P<slice>\d+)"


@pytest.mark.parametrize(
    ("drawn", "lacks"),
    [
        (range(2, 6), "2 to 5 as label maps, so there is no label map of 1 and no image of 5"),
        (range(4), "0 to 3 as label maps, so there is no label map of 4 and no image of 0"),
        (range(2, 4), "2 to 3 as label maps, so there is no label map of 1, 4:"),
        (range(1, 7), "1 to 6 as label maps, so there is no image of 5, 6:"),
    ],
)
def test_stacks_whose_slices_have_other_numbers_are_no_pair(drawn: range, lacks: str, folders: Folders) -> None:
    for number in range(1, 5):
        folders.picture(f"p_{number}.png")
    for number in drawn:
        folders.drawn(f"p_{number}.png", (0, 1))
    with pytest.raises(ValueError, match=re.escape(f"p has the slices 1 to 4 as images and {lacks}")):
        folders.prepare(pattern=STACK)
    assert not folders.out.exists()


def test_the_same_numbers_with_and_without_zeros_in_front_are_a_pair(folders: Folders) -> None:
    for number in (9, 10):
        folders.picture(f"p_{number:03d}.png")
        folders.drawn(f"p_{number}.png", (0, 1))
    folders.prepare(pattern=STACK)
    assert folders.stored("labels", "p").shape == (9, 7, 2)


def test_a_stack_takes_no_file_without_a_slice_number(folders: Folders) -> None:
    for name in ("p", "p_1", "p_2"):
        folders.picture(f"{name}.png")
        folders.drawn(f"{name}.png", (0, 1))
    with pytest.raises(ValueError, match=r"images/p\.png has no slice number, but 2 other files of p have: number it"):
        folders.prepare(pattern=r"(?P<name>[a-z]+)(_(?P<slice>\d+))?")


@pytest.mark.parametrize(
    ("pattern", "found"),
    [("(?P<name>x)?a", "''"), ("(?P<name>x?)a", "''"), (r"v1(?P<name>\.\d)", r"'\.2'")],
)
def test_a_name_that_is_empty_or_would_be_hidden_is_an_error(pattern: str, found: str, folders: Folders) -> None:
    for name in ("a", "v1.2"):
        folders.picture(f"{name}.png")
        folders.drawn(f"{name}.png", (0, 1))
    with pytest.raises(ValueError, match=r"images/.*\.png: the pattern's group 'name' is " + found + " there, but"):
        folders.prepare(pattern=pattern)


def test_the_slices_of_two_patients_are_not_stacked(folders: Folders) -> None:
    for name in ("p1/v_1", "p2/v_2"):
        folders.save(folders.images / f"{name}.png", folders.drawn(f"{name}.png", (0, 1)))
    with pytest.raises(ValueError, match=r"p2/v_2\.png is of the case 'p2', but other slices of v are of 'p1': let"):
        folders.prepare(pattern=r"(?P<case>.+)/(?P<name>.+)_(?P<slice>\d+)")
