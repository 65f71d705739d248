"""Recognize CT among the images of a dataset, and recommend a window for it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewlabel.conventions.intensity import ABDOMEN, looks_like_hounsfield
from fewlabel.data.checks.problems import Problem

_SAMPLE = 20_000  # voxels of the labeled structures per volume: more don't move a percentile
_STEP = 10  # HU to which a window is rounded outward


@dataclass
class HounsfieldImages:
    """The images that look like CT in Hounsfield units, and how their labeled structures look.

    Args:
        images: how many images were looked at.
        volumes: those in Hounsfield units.
        low, high: of all their voxels.
        structures: a sample of the voxels of each one's labeled structures.
    """

    images: int = 0
    volumes: list[str] = field(default_factory=list)
    low: float = math.inf
    high: float = -math.inf
    structures: list[NDArray[Any]] = field(default_factory=list)

    def look_at(self, volume: str, image: NDArray[Any], label: NDArray[Any] | None) -> None:
        """Remember what a volume's image, finite throughout, and its training label, if there is one, tell."""
        self.images += 1
        low, high = float(image.min()), float(image.max())
        if not looks_like_hounsfield(low, high):
            return
        self.volumes.append(volume)
        self.low, self.high = min(self.low, low), max(self.high, high)
        if label is not None and label.shape == image.shape and np.any(label):
            voxels = image[label != 0]
            self.structures.append(voxels[:: max(1, len(voxels) // _SAMPLE)])

    def window(self) -> tuple[int, int]:
        """Return the window that holds 99 % of the labeled structures, radiology's soft-tissue one without labels."""
        if not self.structures:
            return ABDOMEN
        low, high = np.percentile(np.concatenate(self.structures), [0.5, 99.5]) / _STEP
        return math.floor(low) * _STEP, max(math.floor(low) + 1, math.ceil(high)) * _STEP

    def problems(self) -> list[Problem]:
        """Return the warning, none if no image is CT."""
        if not self.volumes:
            return []
        low, high = self.window()
        whence = "holds 99 % of the labeled structures" if self.structures else "is the usual one for soft tissue"
        return [
            Problem(
                "warning",
                "Hounsfield units",
                f"{len(self.volumes)} of {self.images} images look like CT in Hounsfield units ({self.low:g} to "
                f"{self.high:g}), which a scaling by each volume's own values throws away, with padding and metal "
                f"counted in: train with --intensity#mode window --intensity#low {low} --intensity#high {high}, which "
                f"{whence}",
            )
        ]
