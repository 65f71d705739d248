from __future__ import annotations

import json
from pathlib import Path

import pytest

import fewlabel.comparison.tables.published as published
from fewlabel.comparison.tables.published import published_figures

FIGURES = json.loads(Path(published.__file__).with_name("published.json").read_text())


def test_figures_are_those_of_the_methods_and_numbers_of_labels_asked_for() -> None:
    found = published_figures("acdc", {"3"}, ["supervised", "mcsc_v2"])
    assert [(each.method, each.dice, each.hd95) for each in found] == [
        ("supervised", 51.2, 31.2), ("mcsc_v2", 76.3, 5.4), ("mcsc_v2", 78.1, 3.6)
    ]  # fmt: skip
    assert published_figures("acdc", {"all"}, ["supervised"]) == []


@pytest.mark.parametrize(("folder", "number"), [("LA", 1), ("left-atrium", 1), ("my_atlas", 0)])
def test_a_dataset_is_known_by_the_name_of_its_folder(folder: str, number: int) -> None:
    assert len(published_figures(folder, {"4"}, ["vnet"])) == number


def test_each_figure_says_where_it_stands_and_how_its_checkpoint_was_chosen() -> None:
    places = [
        (row["dataset"], row["labeled_cases"], row["method"], row["checkpoint"], row["source"]) for row in FIGURES
    ]
    assert len(set(places)) == len(places)
    assert all(0 < row["dice"] < 100 and row["checkpoint"] and row["source"] for row in FIGURES)
    # selected on test cases, and said so
    assert {
        row["checkpoint"] for row in FIGURES if row["dataset"] == "la" and row["method"] in ("bcp", "vclipseg")
    } == {"best on the test cases"}
