from __future__ import annotations

from matplotlib import pyplot
from matplotlib.colors import to_rgb

from fewlabel.reports.drawing import class_colors, new_figure, plain, png


def test_twenty_one_classes_have_colors_of_their_own_and_the_next_ones_repeat():
    colors = class_colors(23)
    assert len(set(colors[:21])) == 21
    assert colors[21:] == colors[:2]
    assert all(0 <= channel <= 1 for color in colors for channel in to_rgb(color))


def test_the_first_classes_keep_their_color_when_others_are_added():
    assert class_colors(13)[:3] == class_colors(3)


def test_a_dollar_sign_is_printed_and_starts_no_formula():
    figure = new_figure(2, 1)
    figure.text(0.1, 0.5, plain("$frac{1}$ and $\\nonsense$"))
    assert png(figure).startswith(b"\x89PNG")


def test_the_same_figure_gives_the_same_bytes():
    def draw() -> bytes:
        figure = new_figure(2, 1)
        figure.subplots().plot([1, 3, 2])
        return png(figure)

    assert draw() == draw()


def test_drawing_registers_no_figure_with_pyplot():
    png(new_figure(2, 1))
    assert pyplot.get_fignums() == []
