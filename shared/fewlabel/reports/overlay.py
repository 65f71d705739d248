"""One slice of a scan with its segmentations: prediction filled, reference as a contour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from fewlabel.reports.drawing import INK, MUTED, class_colors, new_figure, plain

Array = NDArray[Any]

FILL = 0.42


def overlay(
    image: Array,
    prediction: Array,
    reference: Array,
    labels: Mapping[int, str],
    *,
    spacing: Sequence[float] = (1.0, 1.0),
    gray_range: tuple[float, float] | None = None,
) -> Figure:
    """One slice in gray with the prediction as a translucent fill and the reference as a contour, and a legend.

    Args:
        image: gray values ``(H, W)``.
        prediction: label map ``(H, W)``.
        reference: label map ``(H, W)``.
        labels: name of each label; 0 is the background.
        spacing: distance between pixels along H and W; only their ratio matters.
        gray_range: values shown as black and white; the 1st and 99th percentile when ``None``.

    Returns:
        A matplotlib figure, drawn by Agg.

    Raises:
        ValueError: if the three arrays are not 2D of one shape.

    Example:
        >>> figure = overlay(np.eye(8), np.eye(8), np.eye(8), {0: "background", 1: "heart"}, spacing=(2.0, 1.0))
        >>> figure.axes[0].get_aspect()
        2.0

    """
    shapes = [np.shape(array) for array in (image, prediction, reference)]
    if len(shapes[0]) != 2 or len(set(shapes)) != 1:
        raise ValueError(f"image, prediction and reference must share one shape (H, W), got {shapes}.")
    height = shapes[0][0] * spacing[0]
    width = shapes[0][1] * spacing[1]
    figure = new_figure(5, min(max(5 * height / width, 2.5), 10) + 0.6)
    draw_slice(figure.subplots(), image, prediction, reference, labels, spacing, gray_range or typical_range(image))
    figure.legend(handles=legend_handles(labels), loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return figure


def draw_slice(
    axes: Axes,
    image: Array,
    prediction: Array,
    reference: Array,
    labels: Mapping[int, str],
    spacing: Sequence[float],
    gray_range: tuple[float, float],
) -> None:
    """Draw what :func:`overlay` draws into axes that exist, without a legend."""
    low, high = gray_range
    axes.imshow(image, cmap="gray", vmin=low, vmax=high, interpolation="bilinear", aspect=spacing[0] / spacing[1])
    values = sorted(set(labels) - {0})
    fill = np.zeros((*image.shape, 4))
    for value, color in zip(values, class_colors(len(values)), strict=True):
        fill[prediction == value] = to_rgba(color, FILL)
        mask = np.pad(reference == value, 1).astype(float)  # padded, so that contours close at the border
        if mask.any():
            rows = np.arange(-1, image.shape[0] + 1)
            columns = np.arange(-1, image.shape[1] + 1)
            lines = axes.contour(columns, rows, mask, levels=[0.5], colors=[color], linewidths=1.3)
            # A dark edge keeps the contour visible on bright tissue and on a fill of its own color.
            lines.set_path_effects([patheffects.withStroke(linewidth=2.3, foreground="black")])
    axes.imshow(fill, interpolation="nearest", aspect=spacing[0] / spacing[1])
    axes.set_axis_off()


def legend_handles(labels: Mapping[int, str]) -> list[Patch | Line2D]:
    """A patch per class, then what fill and contour stand for."""
    values = sorted(set(labels) - {0})
    classes = [
        Patch(facecolor=color, label=plain(labels[value]))
        for value, color in zip(values, class_colors(len(values)), strict=True)
    ]
    fill = Patch(facecolor=to_rgba(MUTED, FILL), label="filled: prediction")
    return [*classes, fill, Line2D([], [], color=INK, linewidth=1.6, label="line: reference")]


def typical_range(image: Array) -> tuple[float, float]:
    """The 1st and 99th percentile of the finite values, to be shown as black and white."""
    finite = image[np.isfinite(image)]
    low, high = np.percentile(finite, (1, 99)) if finite.size else (0.0, 1.0)
    return float(low), float(high)
