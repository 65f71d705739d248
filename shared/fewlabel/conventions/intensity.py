"""The choice of how intensities are scaled, and what Hounsfield units look like."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

MODES = ("minmax", "zscore", "window", "percentile")
ABDOMEN = (-160, 240)  # a soft-tissue window of 400 around 40 HU, radiology's usual one
_PERCENTILES = (0.5, 99.5)
_AIR = -500  # HU; MR, ultrasound and standardized images have no values so far below zero
_BONE = 100


def check_intensity(intensity: Mapping[str, Any]) -> tuple[str, float, float]:
    """Return mode, low and high of a choice ``{"mode": ..., "low": ..., "high": ...}``; nan where there is no limit.

    Raises:
        ValueError: an unknown mode or key, or limits that are missing, superfluous or in the wrong order.

    >>> check_intensity({"mode": "percentile"})
    ('percentile', 0.5, 99.5)
    """
    if not isinstance(intensity, Mapping) or not set(intensity) <= {"mode", "low", "high"}:
        raise ValueError(f'intensity must be {{"mode": ..., "low": ..., "high": ...}}, got {intensity!r}')
    mode = intensity.get("mode")
    if mode not in MODES:
        raise ValueError(f"the mode of intensity must be one of {', '.join(MODES)}, got {mode!r}")
    limits = [_number(name, intensity.get(name)) for name in ("low", "high")]
    given = [limit for limit in limits if limit is not None]
    if mode in ("minmax", "zscore"):
        if given:
            raise ValueError(f'intensity "{mode}" has no low and high, got {dict(intensity)}; take "window" for limits')
        return mode, math.nan, math.nan
    if mode == "percentile" and not given:
        given = [*_PERCENTILES]
    if len(given) < 2 or given[0] >= given[1]:
        raise ValueError(
            f'intensity "{mode}" needs low and high, low below high, got {dict(intensity)}; for instance '
            "--intensity#low -160 --intensity#high 240"
        )
    if mode == "percentile" and not 0 <= given[0] < given[1] <= 100:
        raise ValueError(f"percentiles are between 0 and 100, got {dict(intensity)}")
    return mode, given[0], given[1]


def looks_like_hounsfield(low: float, high: float) -> bool:
    """Return whether the range of a volume is that of CT in Hounsfield units, from air, far below zero, to bone.

    >>> looks_like_hounsfield(-1000, 300), looks_like_hounsfield(0, 300), looks_like_hounsfield(-4.5, 6.5)
    (True, False, False)
    """
    return low <= _AIR and high >= _BONE


def _number(name: str, limit: Any) -> float | None:
    if limit is None or limit == "null":
        return None
    if isinstance(limit, bool) or not isinstance(limit, (int, float)) or not math.isfinite(limit):
        raise ValueError(f"{name} of intensity must be a number, got {limit!r}")
    return float(limit)
