"""The scalars of a training step, for whoever logs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def step_scalars(output: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return ``loss`` and each loss term of a step as floats; an ``output_transform`` for MONAI's handlers."""
    [step] = output
    return {"loss": float(step["loss"]), **{name: float(term) for name, term in step["terms"].items()}}
