from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from fewlabel.planning import Fingerprint, StepCost
from fewlabel.planning.structures import Structure

ABDOMEN = Fingerprint(
    labels={0: "background", 1: "liver", 2: "right kidney", 3: "left kidney"},
    shape=(256.0, 256.0, 36.0),
    spacing=(1.25, 1.25, 7.7),
    slice_axis=2,
    intensities=((0.0, 0.0, 200.0, 255.0),),
    foreground=(40.0, 180.0),
    structures=(Structure("left kidney", 48.0, 0.15), Structure("liver", 105.0, 0.33)),
    sides=("right kidney", "left kidney"),
    labeled=3,
    unlabeled=9,
    validation=4,
    test=0,
)
ATRIUM = Fingerprint(
    labels={0: "background", 1: "left atrium"},
    shape=(192.0, 144.0, 88.0),
    spacing=(0.625, 0.625, 0.625),
    slice_axis=2,
    intensities=((-1.0, -0.9, 4.0, 6.0),),
    foreground=(0.0, 4.0),
    structures=(Structure("left atrium", 40.0, 0.39),),
    sides=(),
    labeled=4,
    unlabeled=12,
    validation=4,
    test=0,
)
COST = StepCost(
    step=0.1,
    computing=0.1,
    validation=1.0,
    preparation=0.5,
    start=10.0,
    memory=900.0,
    gpu_memory=0.0,
    device="cpu",
)


@pytest.fixture
def abdomen() -> Callable[..., Fingerprint]:
    def changed(**changes: Any) -> Fingerprint:
        return replace(ABDOMEN, **changes)

    return changed


@pytest.fixture
def atrium() -> Callable[..., Fingerprint]:
    def changed(**changes: Any) -> Fingerprint:
        return replace(ATRIUM, **changes)

    return changed


@pytest.fixture
def cost() -> Callable[..., StepCost]:
    def changed(**changes: Any) -> StepCost:
        return replace(COST, **changes)

    return changed
