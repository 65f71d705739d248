"""Colors, text and figures without pyplot, so that drawing touches no global state and needs no display."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

# Okabe and Ito, "Color Universal Design", 2008: told apart with every common kind of color blindness.
# Black is left out (unseen on a scan), and yellow comes last (faint as a line on white).
OKABE_ITO = ("#E69F00", "#56B4E9", "#009E73", "#CC79A7", "#D55E00", "#0072B2", "#F0E442")
INK = "#1b2733"
MUTED = "#5b6875"
RULE = "#d9dee3"


def class_colors(number: int) -> list[str]:
    """One color per foreground class: Okabe and Ito's seven, then the same lightened and darkened in turn.

    Args:
        number: how many classes, the background not counted.

    Returns:
        Hexadecimal RGB colors; distinct for up to 21 classes, which then repeat.

    Example:
        >>> class_colors(2)
        ['#E69F00', '#56B4E9']

    """
    rounds = ((1.0, 0.0), (0.45, 0.55), (0.55, 0.0))  # scale, offset: as it is, lighter, darker
    colors = []
    for index in range(number):
        scale, offset = rounds[index // len(OKABE_ITO) % len(rounds)]
        base = to_rgb(OKABE_ITO[index % len(OKABE_ITO)])
        rgb = [round(255 * (scale * value + offset)) for value in base]
        colors.append("#" + "".join(f"{value:02X}" for value in rgb))
    return colors


def plain(text: str) -> str:
    """Text as matplotlib should print it: a dollar sign is a dollar sign and starts no formula."""
    return text.replace("$", r"\$")


def new_figure(width: float, height: float) -> Figure:
    """A white figure of the given size in inches, drawn by Agg."""
    layout = ConstrainedLayoutEngine(w_pad=0.08, wspace=0.02)
    figure = Figure(figsize=(width, height), layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def png(figure: Figure, dpi: int = 140) -> bytes:
    """The figure as PNG bytes, equal for equal figures."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def quiet(axes: Axes, title: str = "", grid: Literal["x", "y"] = "y") -> None:
    """Give axes the look of the report: no box, thin grid lines behind the data, muted ticks."""
    axes.set_title(plain(title), loc="left", fontsize=10.5, color=INK, fontweight="bold")
    for side, spine in axes.spines.items():
        spine.set_visible(side == ("bottom" if grid == "y" else "left"))
        spine.set_color(RULE)
    axes.grid(axis=grid, color=RULE, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, labelsize=8.5, length=0, which="both")


def legend_below(axes: Axes, handles: Sequence[object] | None = None, columns: int = 3) -> None:
    """Put the legend under the axes, where it hides no data."""
    options: dict[str, object] = {"handles": handles} if handles else {}
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(0, -0.16),
        ncols=columns,
        frameon=False,
        fontsize=8.5,
        labelcolor=INK,
        handlelength=1.6,
        borderaxespad=0,
        **options,
    )
