from __future__ import annotations

from typing import Any

import pytest

from fewlabel.transforms import Strengths


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"angle": -1}, "angle must be a number, 0 or more, got -1"),
        ({"noise": float("nan")}, "noise must be a number, 0 or more, got nan"),
        ({"tone_prob": 1.5}, r"tone_prob must be a probability in \[0, 1\], got 1.5"),
        ({"scale": [1.2, 0.8]}, "scale must be two positive numbers, the smaller first"),
        ({"gamma": [0, 1]}, "gamma must be two positive numbers"),
        ({"blur": [1]}, "blur must be two positive numbers"),
        ({"resolution": [0.5, 2]}, r"resolution must be two factors in \(0, 1\]"),
    ],
)
def test_settings_out_of_range_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Strengths(**change)
