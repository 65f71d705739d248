from __future__ import annotations

import math

import pytest

from fewlabel.engines import Constant, GaussianRamp
from fewlabel.engines.loss_weights import as_weights


def test_the_ramp_has_the_values_of_its_formula() -> None:
    ramp = GaussianRamp(peak=0.1)
    assert ramp(0.0) == pytest.approx(0.1 * math.exp(-5))
    assert ramp(0.5) == pytest.approx(0.1 * math.exp(-1.25))
    assert ramp(0.9) == pytest.approx(0.1 * math.exp(-0.05))
    assert ramp(1.0) == 0.1


def test_a_shorter_ramp_reaches_its_peak_earlier_and_stays_there() -> None:
    # the released code: exp(-5 (1 - t / 200)^2) with t = iteration // 150, at its peak from iteration 30000 of 40000
    ramp = GaussianRamp(peak=0.1, length=0.75)
    for iteration in range(0, 40001, 150):
        t = min(iteration // 150, 200)
        assert ramp(iteration / 40000) == pytest.approx(0.1 * math.exp(-5 * (1 - t / 200) ** 2))
    assert ramp(0.75) == ramp(0.8) == ramp(1.0) == 0.1


def test_stairs_are_the_released_ones_of_150_iterations() -> None:
    # MC-Net's and VCLIPSeg's code: exp(-5 (1 - t / 40)^2) with t = iteration // 150, of 15000 iterations
    ramp = GaussianRamp(peak=1.0, length=0.4, stairs=40)
    for iteration in range(0, 15001, 25):
        t = min(iteration // 150, 40)
        assert ramp(iteration / 15000) == pytest.approx(math.exp(-5 * (1 - t / 40) ** 2), abs=1e-12)


def test_no_stairs_are_an_error() -> None:
    with pytest.raises(ValueError, match="stairs must be 1 or more, or None for a ramp without, got 0"):
        GaussianRamp(1.0, stairs=0)


def test_the_ramp_never_falls() -> None:
    values = [GaussianRamp(2.0, 0.6)(step / 100) for step in range(101)]
    assert values == sorted(values)


@pytest.mark.parametrize("length", [0.0, -0.1, 1.01])
def test_a_ramp_longer_than_the_training_or_of_no_length_is_an_error(length: float) -> None:
    with pytest.raises(ValueError, match=rf"length is a share of the training in \(0, 1\], got {length}"):
        GaussianRamp(1.0, length)


def test_numbers_become_constants_and_ramps_stay() -> None:
    ramp = GaussianRamp(1.0)
    weights = as_weights({"one": 1, "two": 0.5, "three": ramp, "four": Constant(3)})
    assert weights["three"] is ramp
    assert [weights[name](0.3) for name in ("one", "two", "four")] == [1.0, 0.5, 3.0]


@pytest.mark.parametrize("value", [None, "0.1", True, [1.0]])
def test_anything_else_as_a_weight_is_an_error_that_names_the_term(value: object) -> None:
    with pytest.raises(ValueError, match="weight of 'cross': expected a number or a ramp such as GaussianRamp, got"):
        as_weights({"cross": value})  # type: ignore[dict-item]
