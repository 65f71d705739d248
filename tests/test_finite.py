from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from fewlabel.finite import not_finite

NAN, INF = torch.tensor([0.0, math.nan]), torch.tensor([math.inf])


@pytest.mark.parametrize(
    ("state", "names"),
    [
        ({}, []),
        ({"a": torch.ones(3), "b": torch.tensor([1, 2])}, []),
        ({"a": NAN, "b": torch.ones(1), "c": INF}, ["a", "c"]),
        ({"state": {0: {"exp_avg": INF}, 1: {"exp_avg": torch.zeros(0)}}}, ["state.0.exp_avg"]),
        ({"banks": [{"features": torch.ones(1)}, {"features": NAN}]}, ["banks.1.features"]),
        ({"best": math.nan, "name": "nan", "none": None}, []),
        ({"half": torch.tensor([65504.0], dtype=torch.float16) * 2}, ["half"]),
        (NAN, [""]),
    ],
)
def test_tensors_with_values_that_are_not_finite_are_named_by_their_path(state: Any, names: list[str]) -> None:
    assert not_finite(state) == names
