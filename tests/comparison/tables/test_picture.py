from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest
from matplotlib.collections import PathCollection

from fewlabel.comparison.tables.picture import lift_picture, svg
from fewlabel.comparison.tables.summary import Line, summarize_runs
from fewlabel.reports.drawing import png


@pytest.fixture
def lines(rows: Any) -> list[Line]:
    parts = [
        rows(method, [[0.5 + gain, 0.7], [0.6, 0.6 + gain]], labeled)
        for labeled in ("1", "3")
        for method, gain in (("supervised", 0.0), ("bcp", 0.2), ("mcsc$", 0.1))
    ]
    return summarize_runs([r for part in parts for r in part[0]], [r for part in parts for r in part[1]], "supervised")


def test_there_is_a_panel_for_each_number_of_labels_and_a_dot_for_each_seed(lines: list[Line]) -> None:
    figure = lift_picture(lines, "supervised", "validation")
    assert figure is not None
    assert len(figure.axes) == 2
    for axes in figure.axes:
        marks = [each for each in axes.collections if isinstance(each, PathCollection)]
        dots = [tuple(map(float, point)) for each in marks for point in each.get_offsets()]
        assert dots == [pytest.approx(point) for point in [(0.1, 0), (0.1, 0), (0.05, 1), (0.05, 1)]]
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["bcp", r"mcsc\$"]
    assert "validation cases" in figure.get_supxlabel()


def test_both_forms_are_small_and_the_same_every_time(lines: list[Line]) -> None:
    for form, first in ((png, b"\x89PNG"), (svg, b"<?xml")):
        written = [form(lift_picture(lines, "supervised", "validation")) for _ in range(2)]  # type: ignore[arg-type]
        assert written[0] == written[1]
        assert written[0].startswith(first)
        assert len(written[0]) < 100_000
    ElementTree.fromstring(written[0])


def test_without_a_difference_there_is_no_picture(lines: list[Line]) -> None:
    assert lift_picture([line for line in lines if line.method == "supervised"], "supervised", "test") is None
