"""Volumes with their segmentations, as rows of informative slices."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fewlabel.atomic import atomic_write
from fewlabel.reports.drawing import INK, MUTED, new_figure, plain, png
from fewlabel.reports.overlay import Array, draw_slice, legend_handles, typical_range

Rank = Literal["worst", "median", "best"]

PANEL = 3.45  # inches


@dataclass(frozen=True)
class CaseView:
    """One volume to show, with its prediction.

    Args:
        volume: name of the volume.
        rank: what it stands for: ``"worst"``, ``"median"`` or ``"best"``.
        dice: mean Dice of the volume; nan when it has none.
        image: gray values ``(H, W, D)``; the first axis runs down the picture, slices are taken along the last.
        prediction: label map ``(H, W, D)``.
        reference: label map ``(H, W, D)``.
        spacing: millimeters between voxel centers along H, W and D.
        labels: name of each label; 0 is the background.

    Raises:
        ValueError: if the three arrays are not 3D of one shape, or the spacing has not three positive numbers.

    """

    volume: str
    rank: Rank
    dice: float
    image: Array
    prediction: Array
    reference: Array
    spacing: Sequence[float]
    labels: Mapping[int, str]

    def __post_init__(self) -> None:
        shapes = [np.shape(array) for array in (self.image, self.prediction, self.reference)]
        if len(shapes[0]) != 3 or len(set(shapes)) != 1:
            raise ValueError(
                f"Volume {self.volume!r}: image, prediction and reference must share one shape (H, W, D), got {shapes}"
                ": drop the channel axis, and give a single slice as (H, W, 1)."
            )
        if len(self.spacing) != 3 or not all(value > 0 for value in self.spacing):
            raise ValueError(f"Volume {self.volume!r}: spacing must be 3 positive numbers, got {tuple(self.spacing)}.")


def informative_slices(reference: Array, prediction: Array, number: int = 3) -> list[int]:
    """Slices worth showing: the one with the largest labeled area and the quartiles of the labeled range.

    Args:
        reference: label map ``(H, W, D)``, which decides; where it is empty the prediction does, then the whole range.
        prediction: label map ``(H, W, D)``.
        number: how many at most.

    Returns:
        Distinct indices along the last axis, in increasing order, fewer when the volume is thinner.

    """
    labeled = next((array for array in (reference, prediction) if np.any(array)), np.ones_like(reference))
    area = np.count_nonzero(labeled, axis=(0, 1))
    occupied = np.flatnonzero(area)
    low = int(occupied[0])
    high = int(occupied[-1])
    quarter = (high - low) / 4
    wanted = [int(area.argmax()), round(low + quarter), round(high - quarter), round(low + 2 * quarter)]
    nearest = sorted(range(area.size), key=lambda index: abs(index - wanted[0]))
    return sorted(list(dict.fromkeys([*wanted, low, high, *nearest]))[:number])


def draw_case(row: Sequence[Axes], view: CaseView) -> None:
    """Draw the informative slices of a case, cropped around what is labeled, into a row of axes."""
    slices = informative_slices(view.reference, view.prediction, len(row))
    crop = _crop(view)
    gray_range = typical_range(view.image)
    for axes in row:
        axes.set_axis_off()
    for axes, index in zip(row, slices, strict=False):
        image, prediction, reference = (
            np.asarray(volume)[(*crop, index)] for volume in (view.image, view.prediction, view.reference)
        )
        draw_slice(axes, image, prediction, reference, view.labels, view.spacing, gray_range)
        axes.set_title(f"slice {index + 1} of {view.image.shape[2]}", fontsize=8.5, color=MUTED)


def case_title(view: CaseView) -> str:
    """The heading of a case, for instance ``"Worst: patient099_frame01, mean Dice 0.712"``."""
    dice = "no Dice" if math.isnan(view.dice) else f"mean Dice {view.dice:.3f}"
    return f"{view.rank.capitalize()}: {view.volume}, {dice}"


def case_figure(view: CaseView) -> Figure:
    """One case in a row, without heading and legend, which the page around it gives."""
    panels = min(3, view.image.shape[2])
    figure = new_figure(PANEL * panels, PANEL * _aspect(view) + 0.3)
    draw_case(list(figure.subplots(1, panels, squeeze=False)[0]), view)
    return figure


def case_picture(views: Sequence[CaseView], path: str | os.PathLike[str]) -> Path:
    """Write one PNG with a row of three slices per case, a heading for each, and a legend; it appears whole.

    Args:
        views: the cases, from top to bottom.
        path: the PNG file to write.

    Returns:
        The path.

    Raises:
        ValueError: if there is no case.

    """
    if not views:
        raise ValueError("There is no case to draw: give at least one CaseView.")
    heights = [PANEL * _aspect(view) + 0.6 for view in views]
    figure = new_figure(3 * PANEL, sum(heights) + 0.5)
    parts = figure.subfigures(len(views), 1, height_ratios=heights, squeeze=False)[:, 0]
    for part, view in zip(parts, views, strict=True):
        title = case_title(view)
        part.suptitle(plain(title), x=0.01, ha="left", fontsize=11, color=INK, fontweight="bold")
        draw_case(list(part.subplots(1, 3)), view)
    labels: dict[int, str] = {}
    for view in views:
        labels |= view.labels
    figure.legend(handles=legend_handles(labels), loc="outside lower left", ncols=5, frameon=False, fontsize=8.5)
    return atomic_write(path, png(figure))


def _crop(view: CaseView) -> tuple[slice, slice]:
    """The labeled box of both maps with a third of its size around it, and no smaller than a third of the image."""
    labeled = (np.asarray(view.reference) > 0) | (np.asarray(view.prediction) > 0)
    if not labeled.any():
        return slice(None), slice(None)
    window = []
    for axis in (0, 1):
        occupied = np.flatnonzero(labeled.any(axis=(1 - axis, 2)))
        size = labeled.shape[axis]
        low = int(occupied[0])
        high = int(occupied[-1]) + 1
        margin = max((high - low) // 3, (size // 3 - (high - low)) // 2, 4)
        window.append(slice(max(0, low - margin), min(size, high + margin)))
    return window[0], window[1]


def _aspect(view: CaseView) -> float:
    height, width = (
        len(range(*part.indices(size))) * step
        for part, size, step in zip(_crop(view), view.image.shape, view.spacing, strict=False)
    )
    return float(min(max(height / width, 0.4), 1.8))
