"""The picture of a comparison: lift over the baseline, a dot for each seed."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fewlabel.comparison.tables.summary import Line
from fewlabel.reports.drawing import INK, MUTED, OKABE_ITO, new_figure, plain, quiet


def lift_picture(lines: Sequence[Line], baseline: str, split: str) -> Figure | None:
    """Draw the difference in Dice of each method to the baseline: a panel for each dataset and number of labels.

    A dot is a seed, the tick the mean, the bar the bootstrap interval; strict protocol, last checkpoints.

    Args:
        lines: of the tables.
        baseline: the method that is the zero line.
        split: whose cases were scored.

    Returns:
        The figure, None when there is no difference to draw.
    """
    shown = [line for line in lines if ("last", "strict") in line.scores and line.method != baseline
             and not math.isnan(line.scores["last", "strict"].lift)]  # fmt: skip
    if not shown:
        return None
    panels = list(dict.fromkeys((line.dataset, line.labeled_cases) for line in shown))
    methods = list(dict.fromkeys(line.method for line in shown))
    colors = {method: OKABE_ITO[index % len(OKABE_ITO)] for index, method in enumerate(methods)}
    figure = new_figure(max(5.5, 3.1 * len(panels)), 1.3 + 0.36 * len(methods))
    axes = figure.subplots(1, len(panels), sharey=True, sharex=True, squeeze=False)[0]
    for panel, place in zip(panels, axes, strict=True):
        own = {line.method: line for line in shown if (line.dataset, line.labeled_cases) == panel}
        _draw(place, own, methods, colors)
        labeled = "all cases" if panel[1] == "all" else f"{panel[1]} case{'' if panel[1] == '1' else 's'}"
        quiet(place, f"{panel[0]}, {labeled} labeled", grid="x")
        place.set_yticks(range(len(methods)), [plain(method) for method in methods])
        place.set_ylim(len(methods) - 0.5, -0.5)
        place.tick_params(axis="y", labelsize=9.5, labelcolor=INK)
    figure.supxlabel(plain(f"Dice over {baseline} ({split} cases, last checkpoint)"), fontsize=9, color=MUTED)
    return figure


def _draw(axes: Axes, lines: dict[str, Line], methods: Sequence[str], colors: dict[str, str]) -> None:
    axes.axvline(0, color=INK, linewidth=1.0, zorder=1)
    for place, method in enumerate(methods):
        if method not in lines:
            continue
        scores = lines[method].scores["last", "strict"]
        low, high = scores.interval
        if not math.isnan(low):
            axes.hlines(place, low, high, color=colors[method], linewidth=5, alpha=0.35, zorder=2)
        axes.vlines(scores.lift, place - 0.22, place + 0.22, color=colors[method], linewidth=2.2, zorder=3)
        axes.scatter(list(scores.lift_by_seed.values()), [place] * len(scores.lift_by_seed), s=26, color=INK,
                     alpha=0.8, linewidths=0, zorder=4)  # fmt: skip


def svg(figure: Figure) -> bytes:
    """The figure as SVG bytes, equal for equal figures."""
    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "fewlabel"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()
