"""Training curves and box plots of the report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fewlabel.reports.drawing import INK, MUTED, OKABE_ITO, class_colors, legend_below, new_figure, plain, quiet
from fewlabel.reports.tables import MEAN, UNITS, Row

Curves = dict[str, list[tuple[float, float]]]
STYLES = ("-", "--", ":")
_VALIDATION = "Validation Dice"


def training_curves(history: Sequence[Mapping[str, Any]]) -> Figure | None:
    """Loss terms, their weights and the validation Dice over the epochs, one panel for each that was recorded.

    Args:
        history: one dict per epoch with ``"epoch"`` and any of ``"terms"``, ``"weights"`` (name to number) and
            ``"validation"`` (``"mean_dice"``, ``"dice_<class>"``, and ``"<network>_mean_dice"`` of networks that are
            scored beside the first one). Epochs without validation leave it out.

    Returns:
        The figure, or ``None`` if nothing was recorded.

    """
    candidates = (
        ("Loss terms, unweighted", _curves(history, "terms")),
        ("Weights of the terms", _curves(history, "weights")),
        (_VALIDATION, _validation_curves(history)),
    )
    panels = [(title, curves) for title, curves in candidates if curves]
    if not panels:
        return None
    rows = max(len(curves) for _, curves in panels)
    figure = new_figure(4.0 * len(panels), 2.9 + 0.2 * rows)
    terms = list(dict.fromkeys(name for key in ("terms", "weights") for name in _curves(history, key)))
    for axes, (title, curves) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        # A term has the same color as its weight, and a class the same as in the other pictures.
        _draw_curves(axes, curves, [name for name in curves if name != MEAN] if title == _VALIDATION else terms)
        quiet(axes, title)
        axes.set_xlabel("epoch", fontsize=8.5, color=MUTED)
        if title == _VALIDATION:
            axes.set_ylim(0, 1.02)
        elif title.startswith("Loss") and _spans_decades(curves):
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter("{x:g}")
        # Terms with equal curves share a label, which may be long.
        legend_below(axes, columns=1)
    return figure


def box_plots(rows: Sequence[Row], protocol: str) -> Figure | None:
    """Dice and HD95 of every class: a box per checkpoint (quartiles, whiskers to 1.5 IQR) and a point per volume.

    Args:
        rows: rows of scores, see :func:`fewlabel.reports.write_scores_csv`.
        protocol: the protocol to show.

    Returns:
        The figure, or ``None`` if no row has this protocol.

    """
    rows = [row for row in rows if row["protocol"] == protocol]
    if not rows:
        return None
    classes = list(dict.fromkeys(row["class"] for row in rows))
    checkpoints = list(dict.fromkeys(row["checkpoint"] for row in rows))
    figure = new_figure(11, 1.1 + len(classes) * (0.28 + 0.3 * len(checkpoints)))
    panels = (("dice", "Dice"), ("hd95", f"HD95 ({UNITS.get(protocol, '')})"))
    for axes, (metric, title) in zip(figure.subplots(1, 2, sharey=True), panels, strict=True):
        for position, (name, color) in enumerate(zip(classes, class_colors(len(classes)), strict=True)):
            for index, checkpoint in enumerate(checkpoints):
                values = [r[metric] for r in rows if (r["class"], r["checkpoint"]) == (name, checkpoint)]
                place = position + 0.7 * ((index + 0.5) / len(checkpoints) - 0.5)
                _draw_box(axes, values, place, 0.5 / len(checkpoints), color, filled=index == 0)
        quiet(axes, title, grid="x")
        axes.set_yticks(range(len(classes)), [plain(name) for name in classes])
        axes.set_ylim(len(classes) - 0.5, -0.5)
        axes.tick_params(axis="y", labelsize=9.5, labelcolor=INK)
        limits = (-0.02, 1.02) if metric == "dice" else (0.0, max(1.0, axes.get_xlim()[1]))
        axes.set_xlim(*limits)
    if len(checkpoints) > 1:
        handles = [
            Line2D([], [], marker="s", linestyle="", markersize=9, markeredgecolor=MUTED, label=plain(str(checkpoint)),
                   markerfacecolor=MUTED if index == 0 else "white")
            for index, checkpoint in enumerate(checkpoints)
        ]  # fmt: skip
        figure.legend(handles=handles, loc="outside lower left", ncols=len(handles), frameon=False, fontsize=9)
    return figure


def _curves(history: Sequence[Mapping[str, Any]], key: str) -> Curves:
    curves: Curves = {}
    for entry in history:
        for name, value in (entry.get(key) or {}).items():
            curves.setdefault(name, []).append((float(entry["epoch"]), float(value)))
    return curves


def _validation_curves(history: Sequence[Mapping[str, Any]]) -> Curves:
    curves = _curves(history, "validation")
    mean = {MEAN: curves["mean_dice"]} if "mean_dice" in curves else {}
    ending = "_mean_dice"
    of_others = {f"{MEAN}, {name.removesuffix(ending)}": curves[name] for name in curves if name.endswith(ending)}
    of_classes = {name.removeprefix("dice_"): points for name, points in curves.items() if name.startswith("dice_")}
    return of_classes | of_others | mean


def _draw_curves(axes: Axes, curves: Curves, names: Sequence[str]) -> None:
    styles: dict[str, dict[str, Any]] = {
        name: {"color": color, "linewidth": 1.5, "linestyle": STYLES[index // len(OKABE_ITO) % len(STYLES)]}
        for index, (name, color) in enumerate(zip(names, class_colors(len(names)), strict=True))
    }
    for points, together in _equal_curves(curves):
        epochs, values = zip(*points, strict=True)
        style = styles.get(together[0], {"color": INK, "linewidth": 2.2})
        # One point makes no line.
        axes.plot(epochs, values, marker="o" if len(points) == 1 else "", label=plain(", ".join(together)), **style)
    axes.margins(x=0.02)


def _equal_curves(curves: Curves) -> list[tuple[tuple[tuple[float, float], ...], list[str]]]:
    """Curves that coincide become one with all of their names, because the last one drawn would hide the others."""
    groups: dict[tuple[tuple[float, float], ...], list[str]] = {}
    for name, points in curves.items():
        groups.setdefault(tuple(points), []).append(name)
    return list(groups.items())


def _spans_decades(curves: Curves) -> bool:
    values = [value for points in curves.values() for _, value in points if math.isfinite(value)]
    return bool(values) and min(values) > 0 and max(values) / min(values) > 30


def _draw_box(axes: Axes, values: Sequence[float], place: float, width: float, color: str, filled: bool) -> None:
    finite = np.array([value for value in values if not math.isnan(value)])
    left_out = len(values) - finite.size
    if finite.size == 0:
        axes.text(0.01, place, f"no score ({left_out} left out)", transform=axes.get_yaxis_transform(), va="center",
                  fontsize=8.5, color=MUTED, style="italic")  # fmt: skip
        return
    # Drawn by hand, because the name of boxplot's argument for a horizontal box depends on matplotlib's version.
    low, middle, high = np.percentile(finite, (25, 50, 75))
    reach = 1.5 * (high - low)
    whiskers = finite[(finite >= low - reach) & (finite <= high + reach)]
    axes.hlines(place, whiskers.min(), whiskers.max(), color=INK, linewidth=0.9, zorder=1)
    face = color if filled else "white"
    axes.barh(place, high - low, width, left=low, color=face, edgecolor=color, linewidth=1.4, zorder=2)
    axes.vlines(middle, place - width / 2, place + width / 2, color=INK, linewidth=2.0, zorder=3)
    # Volumes are spread evenly over the box's width in the order given, so the picture is the same every time.
    spread = place + width * 0.7 * (np.arange(finite.size) % 5 / 4 - 0.5) * (finite.size > 1)
    axes.scatter(finite, spread, s=13, color=INK, alpha=0.55, linewidths=0, zorder=4)
