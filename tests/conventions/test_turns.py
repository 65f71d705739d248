from __future__ import annotations

import pytest

from fewlabel.conventions.turns import turns_by_quarters


@pytest.mark.parametrize(
    ("size", "spacing", "expected"),
    [
        ((64, 64, 32), (2.0, 2.0, 2.0), True),
        ((64, 64, 64), (1.25, 1.25, 7.7), True),
        ((64, 64, 32), (1.87, 1.88, 2.0), True),  # a rounded hundredth is no stretching
        ((64, 48, 32), (2.0, 2.0, 2.0), False),
        ((64, 64, 64), (3.0, 2.0, 2.0), False),
    ],
)
def test_a_quarter_turn_wants_equal_sides_and_spacings_in_the_plane(size, spacing, expected):
    assert turns_by_quarters(size, spacing) is expected
