"""Settings that follow from labels and intensities, whatever the network."""

from __future__ import annotations

from collections.abc import Iterator

from fewlabel.planning.fingerprint import Fingerprint
from fewlabel.planning.settings import Setting
from fewlabel.planning.template import Template

_AIR, _BONE = -500, 100  # HU: no other modality has values so far below zero and above it


def data_settings(fingerprint: Fingerprint, template: Template) -> list[Setting]:
    """Return the number of classes, intensities and mirroring, as far as the bundle has keys for them."""
    return [*_classes(fingerprint, template), *_intensity(fingerprint, template), *_mirroring(fingerprint, template)]


def _classes(fingerprint: Fingerprint, template: Template) -> Iterator[Setting]:
    # an expression finds the number itself
    if template.has("num_classes") and isinstance(template.value("num_classes"), int):
        yield Setting("num_classes", fingerprint.num_classes, "dataset.json names so many, with the background")


def _intensity(fingerprint: Fingerprint, template: Template) -> Iterator[Setting]:
    if not template.has("intensity"):
        return
    lowest, low, high, highest = fingerprint.intensities
    if lowest <= _AIR and highest >= _BONE:
        limits = {"low": round(fingerprint.foreground[0], 1), "high": round(fingerprint.foreground[1], 1)}
        reason = "values are Hounsfield units; 99 of 100 labeled voxels are in this window"
        yield Setting("intensity", {"mode": "window", **limits}, reason)
    elif max(highest - high, low - lowest) > high - low:
        reason = "a few extreme voxels span more than all others"
        yield Setting("intensity", {"mode": "percentile", "low": 0.5, "high": 99.5}, reason)


def _mirroring(fingerprint: Fingerprint, template: Template) -> Iterator[Setting]:
    if not fingerprint.sides:
        return
    reason = f"a mirrored scan would swap sides: {', '.join(fingerprint.sides)}"
    if template.has("mirror"):
        yield Setting("mirror", False, reason)
    elif template.kind == "slices":
        yield Setting("train#augmentation#flips", False, reason)
    else:
        yield from (Setting(f"{key}#prob", 0.0, reason) for key in template.transforms("RandFlipd"))
