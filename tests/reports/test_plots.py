from __future__ import annotations

import math

import numpy as np
import pytest
from matplotlib.colors import to_hex

from fewlabel.reports.drawing import class_colors
from fewlabel.reports.plots import box_plots, training_curves


def lines(axes):
    return {line.get_label(): line for line in axes.get_lines()}


HISTORY = [
    {
        "epoch": epoch,
        "terms": {"supervised": 2.0 / epoch, "cross": 0.5},
        "weights": {"cross": 0.1 * epoch},
        **({"validation": {"mean_dice": 0.1 * epoch, "dice_heart": 0.2, "dice_liver": 0.3}} if epoch % 2 == 0 else {}),
    }
    for epoch in range(1, 7)
]


def test_every_term_weight_and_class_is_a_line_over_the_epochs_that_have_it():
    terms, weights, validation = training_curves(HISTORY).axes
    assert lines(terms).keys() == {"supervised", "cross"}
    np.testing.assert_allclose(lines(terms)["supervised"].get_ydata(), [2, 1, 2 / 3, 0.5, 0.4, 1 / 3])
    np.testing.assert_allclose(lines(weights)["cross"].get_ydata(), [0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    assert list(lines(validation)) == ["heart", "liver", "mean"]
    np.testing.assert_allclose(lines(validation)["mean"].get_xdata(), [2, 4, 6])


def test_a_term_has_the_color_of_its_weight_and_a_class_the_color_it_has_on_the_scans():
    terms, weights, validation = training_curves(HISTORY).axes
    assert lines(terms)["cross"].get_color() == lines(weights)["cross"].get_color()
    colors = [to_hex(lines(validation)[name].get_color()).upper() for name in ("heart", "liver")]
    assert colors == class_colors(2)


def test_curves_that_coincide_are_drawn_once_under_both_names():
    history = [{"epoch": e, "weights": {"cross_a": 0.1 * e, "cross_b": 0.1 * e, "contrast": 0.1}} for e in (1, 2)]
    (weights,) = training_curves(history).axes
    assert list(lines(weights)) == ["cross_a, cross_b", "contrast"]


def test_terms_of_very_different_size_get_a_logarithmic_axis_and_others_do_not():
    def scale(small):
        return training_curves([{"epoch": 1, "terms": {"a": small, "b": 1.0}}]).axes[0].get_yscale()

    assert (scale(0.5), scale(0.001), scale(0.0), scale(-1.0)) == ("linear", "log", "linear", "linear")


@pytest.mark.parametrize("history", [[], [{"epoch": 1}], [{"epoch": 1, "terms": {}, "validation": None}]])
def test_an_empty_history_has_no_figure(history):
    assert training_curves(history) is None


def test_a_single_epoch_and_a_term_that_is_not_finite_are_drawn(pixels):
    figure = training_curves([{"epoch": 1, "terms": {"a": math.nan, "b$": 2.0}, "validation": {"mean_dice": 0.5}}])
    assert pixels(figure).std() > 0
    assert figure.axes[0].get_lines()[1].get_marker() == "o"


def score(volume, name, dice, hd95, checkpoint="last", protocol="strict"):
    return {"volume": volume, "class": name, "checkpoint": checkpoint, "protocol": protocol, "dice": dice, "hd95": hd95}


def test_every_volume_with_a_score_is_a_point_and_the_box_spans_the_quartiles():
    dice = [0.1, 0.5, 0.6, 0.7, 0.9]
    rows = [score(str(i), "heart", value, 10 * value) for i, value in enumerate(dice)]
    rows += [score("x", "heart", math.nan, math.nan), score("y", "heart", 0.3, 1.0, protocol="published")]
    left, right = box_plots(rows, "strict").axes
    np.testing.assert_allclose(left.collections[-1].get_offsets()[:, 0], dice)
    np.testing.assert_allclose(right.collections[-1].get_offsets()[:, 0], [10 * value for value in dice])
    (box,) = left.patches
    assert (box.get_x(), box.get_x() + box.get_width()) == pytest.approx((0.5, 0.7))
    # Whiskers end at the last volume within 1.5 * (0.7 - 0.5) of the box: 0.1 lies beyond.
    np.testing.assert_allclose(left.collections[0].get_segments()[0][:, 0], [0.5, 0.9])


def test_each_checkpoint_has_a_box_of_its_own_within_the_band_of_the_class():
    rows = [score(v, n, 0.5, 1.0, c) for v in "ab" for n in ("heart", "liver") for c in ("last", "best")]
    left, _ = box_plots(rows, "strict").axes
    middles = [box.get_y() + box.get_height() / 2 for box in left.patches]
    np.testing.assert_allclose(middles, [-0.175, 0.175, 0.825, 1.175])
    assert [label.get_text() for label in left.get_yticklabels()] == ["heart", "liver"]


def test_a_class_without_any_score_says_so(pixels):
    rows = [score("a", "gone", math.nan, math.nan), score("b", "gone", math.nan, math.nan), score("a", "it", 1.0, 0.0)]
    figure = box_plots(rows, "strict")
    for axes in figure.axes:
        assert [text.get_text() for text in axes.texts] == ["no score (2 left out)"]
    assert pixels(figure).std() > 0


def test_no_row_of_the_protocol_gives_no_figure():
    assert box_plots([score("a", "heart", 1.0, 0.0)], "published") is None
    assert box_plots([], "strict") is None
