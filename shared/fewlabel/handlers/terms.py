"""The scalars of a training step, for whoever logs them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def step_scalars(output: Mapping[str, Any]) -> dict[str, float]:
    """Return ``loss`` and each loss term of a step as floats; an ``output_transform`` for MONAI's handlers."""
    return {"loss": float(output["loss"]), **{name: float(term) for name, term in output["terms"].items()}}
