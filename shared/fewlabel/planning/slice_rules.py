"""The size of slices."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from fewlabel.planning.fingerprint import Fingerprint
from fewlabel.planning.settings import Setting
from fewlabel.planning.structures import Structure

STEP = 32  # sides that all our networks for slices take
LARGEST = 512
ACROSS = 12  # pixels that the smallest structure should span


def slice_sizes(fingerprint: Fingerprint, least: int) -> list[int]:
    """Return sizes to choose from, smallest first: from that of `small.json` to the scans' own.

    Args:
        fingerprint: of the dataset.
        least: the size of `small.json`, a multiple of 32, below which no plan goes.
    """
    plane = [fingerprint.shape[axis] for axis in range(3) if axis != fingerprint.slice_axis]
    own = min(LARGEST, max(least, _up(math.sqrt(math.prod(plane)))))
    return list(range(least, own + 1, STEP))


def first_size(fingerprint: Fingerprint, sizes: Sequence[int]) -> int:
    """Return the index of the first size that shows the smallest structure, or the last index.

    A slice is resized to a square, so a structure's share of the slice decides how many pixels it spans.
    """
    needed = _up(ACROSS / _smallest(fingerprint).share)
    return next((index for index, size in enumerate(sizes) if size >= needed), len(sizes) - 1)


def slice_settings(size: int, fingerprint: Fingerprint) -> Iterator[Setting]:
    """Yield the settings of slices of a size."""
    structure = _smallest(fingerprint)
    pixels = structure.share * size
    yield Setting("paper#size", size, f"{structure.name}, the smallest structure, spans {pixels:.0f} pixels")


def _smallest(fingerprint: Fingerprint) -> Structure:
    return min(fingerprint.structures, key=lambda each: each.share)


def _up(pixels: float) -> int:
    return STEP * math.ceil(round(pixels, 6) / STEP)
