"""Weights of loss terms as functions of the share of training that is done."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol


class LossWeightSchedule(Protocol):
    """A weight that may change over time."""

    def __call__(self, progress: float) -> float:
        """Return the weight after the share ``progress`` in [0, 1] of the training."""


class Constant:
    """The same weight throughout.

    Args:
        value: the weight.
    """

    def __init__(self, value: float) -> None:
        self.value = float(value)

    def __call__(self, progress: float) -> float:
        """Return the weight, see :class:`LossWeightSchedule`."""
        return self.value


class GaussianRamp:
    r"""Gaussian ramp-up :math:`w(t) = peak \cdot \exp(-5 (1 - \min(t / length, 1))^2)`.

    S. Laine and T. Aila, Temporal Ensembling for Semi-Supervised Learning, ICLR 2017; thesis ch. 4.3.3 with
    ``length=1``. The released SSL4MIS code reaches the peak at iteration 30000 whatever the length of the training:
    with 40000 iterations that is ``length=0.75``.

    Args:
        peak: weight at the end of the ramp.
        length: share of the training that the ramp takes, in (0, 1].
        stairs: rise in so many equal steps, each from its beginning on, as the released left-atrium codes do, whose 40
            stairs of 150 iterations take 6000 of 15000; None for a weight that rises at every step.

    Raises:
        ValueError: length outside (0, 1], or fewer stairs than one.

    >>> GaussianRamp(peak=0.1)(1.0)
    0.1
    >>> round(GaussianRamp(peak=0.1)(0.0), 6)
    0.000674
    """

    def __init__(self, peak: float, length: float = 1.0, stairs: int | None = None) -> None:
        if not 0 < length <= 1:
            raise ValueError(f"length is a share of the training in (0, 1], got {length}")
        if stairs is not None and stairs < 1:
            raise ValueError(f"stairs must be 1 or more, or None for a ramp without, got {stairs}")
        self.peak = float(peak)
        self.length = float(length)
        self.stairs = stairs

    def __call__(self, progress: float) -> float:
        """Return the weight, see :class:`LossWeightSchedule`."""
        risen = min(progress / self.length, 1.0)
        if self.stairs is not None:
            # 150 / 6000 of 40 stairs is one, and not what rounding leaves of it
            risen = math.floor(risen * self.stairs + 1e-9) / self.stairs
        return self.peak * math.exp(-5 * (1 - risen) ** 2)


def as_weights(weights: Mapping[str, float | LossWeightSchedule]) -> dict[str, LossWeightSchedule]:
    """Return callables for numbers and callables alike.

    Raises:
        ValueError: a value is neither.
    """
    result: dict[str, LossWeightSchedule] = {}
    for name, weight in weights.items():
        if callable(weight):
            result[name] = weight
        elif isinstance(weight, (int, float)) and not isinstance(weight, bool):
            result[name] = Constant(weight)
        else:
            raise ValueError(f"weight of {name!r}: expected a number or a ramp such as GaussianRamp, got {weight!r}")
    return result
