"""How large the labeled structures are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Structure:
    """What one class measures in the slices that show it.

    Args:
        name: of the class.
        diameter: of the disk of the same area, in millimeters; the median over slices.
        share: that diameter over the root of the slice's area: how much of a slice it spans, whatever its resolution.
    """

    name: str
    diameter: float
    share: float

    @classmethod
    def median(cls, structures: Sequence[Structure]) -> Structure:
        """Return the medians over volumes of one class."""
        diameters = [structure.diameter for structure in structures]
        return cls(structures[0].name, median(diameters), median(structure.share for structure in structures))


def find_structures(
    label: NDArray[Any], spacing: Sequence[float], labels: Mapping[int, str], axis: int = 2
) -> dict[int, Structure]:
    """Return what each class in a label map measures.

    Args:
        label: label map (X, Y, Z).
        spacing: millimeters along each axis.
        labels: label names by value.
        axis: that slices are cut along.

    >>> label = np.zeros((10, 10, 3), dtype=int)
    >>> label[2:6, 2:6] = 1
    >>> structure = find_structures(label, (1.0, 1.0, 5.0), {0: "background", 1: "liver"})[1]
    >>> round(structure.diameter, 2), round(structure.share, 3)
    (4.51, 0.451)
    """
    plane = [index for index in range(3) if index != axis]
    pixel = float(np.prod([spacing[index] for index in plane]))
    field = float(np.prod([label.shape[index] for index in plane])) * pixel
    found = {}
    for value in (value for value in labels if value != 0):
        areas = (label == value).sum(axis=tuple(plane))
        shown = areas[areas > 0]
        if shown.size:
            diameter = float(np.median(2 * np.sqrt(shown * pixel / np.pi)))
            found[value] = Structure(labels[value], diameter, diameter / field**0.5)
    return found
