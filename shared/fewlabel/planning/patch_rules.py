"""Patches and the spacing of volumes: a patch holds as much of a scan as its voxels allow."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

from fewlabel.conventions.turns import turns_by_quarters
from fewlabel.planning.fingerprint import Fingerprint, Triple
from fewlabel.planning.settings import Setting

STEP = 16  # sides that all our networks for volumes take
ACROSS = 4  # voxels that the smallest structure should span
VOXELS = 64 * 64 * 32  # of the first patch; the following ones double
LARGEST = 112 * 112 * 80  # the published patch
GAIN = 0.9  # the size of a voxel, of a square patch's, from which quarter turns are worth giving up
_SIDES = range(32, 193, STEP)


@dataclass(frozen=True)
class Patch:
    """A patch of a volume.

    Args:
        size: voxels along each axis.
        spacing: millimeters along each axis.
        covered: the share of the median scan that it holds.
    """

    size: tuple[int, int, int]
    spacing: Triple
    covered: float


def patches(fingerprint: Fingerprint) -> list[Patch]:
    """Return patches to choose from, fewest voxels first, each with the finest spacing at which it holds a scan.

    Where that spacing would let the smallest structure vanish, the spacing is finer and the patch holds less. A patch
    whose sides differ in the plane is turned by half turns alone, see :class:`fewlabel.transforms.RandTurnd`; it is
    taken where its voxels are a tenth smaller than those of the best patch that may be turned by quarters, or where
    it holds a twentieth more of the scan.
    """
    budgets = [VOXELS]
    while budgets[-1] * 2 <= LARGEST:
        budgets.append(budgets[-1] * 2)
    found = [_best(fingerprint, voxels) for voxels in budgets]
    return [patch for number, patch in enumerate(found) if patch not in found[:number]]


def patch_settings(patch: Patch, fingerprint: Fingerprint) -> Iterator[Setting]:
    """Yield the settings of a patch."""
    held = f"a patch holds {patch.covered:.0%} of a scan of {_text(fingerprint.extent)} mm"
    turned = "" if _is_square(patch) else ", and is turned by 180 degrees alone"
    structure = fingerprint.structures[0]
    voxels = structure.diameter / min(patch.spacing)
    yield Setting("paper#size", list(patch.size), held + turned)
    yield Setting(
        "paper#spacing", list(patch.spacing), f"{structure.name}, the smallest structure, spans {voxels:.0f} voxels"
    )
    yield Setting("paper#stride", [side // 2 for side in patch.size], "windows overlap by half")


def _best(fingerprint: Fingerprint, voxels: int) -> Patch:
    sizes = itertools.product(_SIDES, _SIDES, (STEP, *_SIDES))
    found = [_patch(fingerprint, size) for size in sizes if math.prod(size) <= voxels]
    best = min(found, key=_preference)
    # thick slices along the first axis leave no patch of equal spacings in the plane
    square = min(filter(_is_square, found), key=_preference, default=best)
    finer = math.prod(best.spacing) <= GAIN * math.prod(square.spacing)
    return best if finer or best.covered >= square.covered + 0.05 else square


def _is_square(patch: Patch) -> bool:
    return turns_by_quarters(patch.size, patch.spacing)


def _preference(patch: Patch) -> tuple[float, float, int]:
    return -round(patch.covered, 2), math.prod(patch.spacing), math.prod(patch.size)


def _patch(fingerprint: Fingerprint, size: tuple[int, int, int]) -> Patch:
    axes = list(zip(fingerprint.extent, size, fingerprint.spacing, strict=True))
    # an axis whose own voxels already fit asks for nothing; one spacing for the others
    asked = [extent / side for extent, side, own in axes if extent > side * own]
    finest = max([*asked, min(fingerprint.spacing)])
    limit = max(fingerprint.structures[0].diameter / ACROSS, min(fingerprint.spacing))
    step = min(finest, limit)
    x, y, z = (round(max(step, own), 2) for own in fingerprint.spacing)
    spacing = (x, y, z)
    shares = [min(1.0, side * mm / extent) for (extent, side, _), mm in zip(axes, spacing, strict=True)]
    return Patch(size, spacing, math.prod(shares))


def _text(lengths: Triple) -> str:
    return " x ".join(f"{length:.0f}" for length in lengths)
