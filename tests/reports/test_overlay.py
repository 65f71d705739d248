from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from fewlabel.reports import overlay
from fewlabel.reports.drawing import class_colors
from fewlabel.reports.overlay import FILL

LABELS = {0: "background", 3: "heart", 7: "liver"}


def picture(figure):
    return next(axes for axes in figure.axes if axes.images)


def test_the_prediction_is_filled_in_the_color_of_its_class_and_nothing_else_is():
    prediction = np.zeros((6, 8), dtype=int)
    prediction[1:3, 2:4], prediction[4, 5] = 3, 7
    figure = overlay(np.zeros((6, 8)), prediction, np.zeros((6, 8), dtype=int), LABELS)
    fill = np.asarray(picture(figure).images[1].get_array())
    heart, liver = map(to_rgb, class_colors(2))
    np.testing.assert_allclose(fill[1:3, 2:4], np.broadcast_to([*heart, FILL], (2, 2, 4)))
    np.testing.assert_allclose(fill[4, 5], [*liver, FILL])
    assert not fill[prediction == 0].any()


def test_the_reference_is_a_closed_line_half_a_pixel_around_its_pixels_even_at_the_border():
    reference = np.zeros((6, 8), dtype=int)
    reference[0:2, 0:3] = 3
    axes = picture(overlay(np.zeros((6, 8)), np.zeros((6, 8), dtype=int), reference, LABELS))
    (line,) = axes.collections
    (path,) = line.get_paths()
    np.testing.assert_allclose(path.vertices[0], path.vertices[-1])
    np.testing.assert_allclose(path.vertices.min(axis=0), [-0.5, -0.5])
    np.testing.assert_allclose(path.vertices.max(axis=0), [2.5, 1.5])
    np.testing.assert_allclose(line.get_edgecolor()[0][:3], to_rgb(class_colors(2)[0]))


def test_pixels_have_the_shape_that_the_spacing_says():
    square, tall = (overlay(np.eye(5), np.eye(5), np.eye(5), {1: "x"}, spacing=s) for s in ((1, 1), (3, 1)))
    assert picture(square).get_aspect() == 1
    assert picture(tall).get_aspect() == 3


def test_the_image_is_shown_between_its_first_and_last_percentile_without_its_nan():
    image = np.arange(101.0).reshape(1, 101).repeat(3, axis=0)
    image[2] = np.nan
    empty = np.zeros(image.shape, dtype=int)
    assert picture(overlay(image, empty, empty, LABELS)).images[0].get_clim() == (1.0, 99.0)
    assert picture(overlay(image, empty, empty, LABELS, gray_range=(0, 50))).images[0].get_clim() == (0, 50)


def test_the_legend_names_every_class_and_both_ways_of_drawing(pixels):
    figure = overlay(np.eye(5), np.eye(5), np.eye(5), LABELS | {1: "one $"})
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names == [r"one \$", "heart", "liver", "filled: prediction", "line: reference"]
    assert pixels(figure).std() > 0


@pytest.mark.parametrize("image", [np.full((5, 5), 3.0), np.full((5, 5), np.nan), np.zeros((5, 5), dtype=np.int16)])
def test_a_constant_or_missing_image_is_drawn_all_the_same(image, pixels):
    labels = np.eye(5, dtype=int)
    assert pixels(overlay(image, labels, labels, {1: "x"})).std() > 0


def test_slices_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match=r"share one shape \(H, W\), got \[\(4, 4\), \(4, 4\), \(4, 5\)\]"):
        overlay(np.zeros((4, 4)), np.zeros((4, 4)), np.zeros((4, 5)), LABELS)
