"""Settings that follow from labels and intensities, whatever the network."""

from __future__ import annotations

from collections.abc import Iterator

from fewlabel.conventions.intensity import looks_like_hounsfield
from fewlabel.planning.fingerprint import Fingerprint
from fewlabel.planning.settings import Setting
from fewlabel.planning.template import Template

MARGIN = 100.0  # Hounsfield units beyond the medians of the darkest and the brightest class, for noise and edges


def data_settings(fingerprint: Fingerprint, template: Template) -> list[Setting]:
    """Return intensities and mirroring, as far as the bundle has keys for them."""
    return [*_intensity(fingerprint, template), *_mirroring(fingerprint, template)]


def _intensity(fingerprint: Fingerprint, template: Template) -> Iterator[Setting]:
    if not template.has("intensity"):
        return
    if len(fingerprint.intensities) == 1 and looks_like_hounsfield(
        fingerprint.intensities[0][0], fingerprint.intensities[0][-1]
    ):
        low, high = fingerprint.foreground
        window = {"mode": "window", "low": round(low - MARGIN, 1), "high": round(high + MARGIN, 1)}
        reason = f"values are Hounsfield units, and the classes' medians are {low:.0f} to {high:.0f}"
        yield Setting("intensity", window, reason)
    elif template.value("intensity")["mode"] == "minmax" and any(map(_has_extremes, fingerprint.intensities)):
        reason = "a few extreme voxels span more than all others"
        yield Setting("intensity", {"mode": "percentile", "low": 0.5, "high": 99.5}, reason)


def _has_extremes(channel: tuple[float, ...]) -> bool:
    lowest, low, high, highest = channel
    return max(highest - high, low - lowest) > high - low


def _mirroring(fingerprint: Fingerprint, template: Template) -> Iterator[Setting]:
    if fingerprint.sides and template.has("mirror"):
        yield Setting("mirror", False, f"a mirrored scan would swap sides: {', '.join(fingerprint.sides)}")
