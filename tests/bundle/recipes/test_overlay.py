from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigParser

from fewlabel.bundle.recipes.overlay import overlay

BASE = {
    "first": 1,
    "net": {"_target_": "UNet", "norm": "batch"},
    "train": {"steps": [{"a": 1}, {"a": 2}]},
    "run": ["$x"],
}


@pytest.mark.parametrize(
    "changes",
    [
        {"first": 2},
        {"net#norm": "instance"},
        {"net": {"_target_": "VNet"}},
        {"+net": {"norm": "layer", "size": 3}},
        {"train#steps#1#a": 5},
        {"+train#steps": [{"a": 3}]},
        {"+train#steps#0": {"b": 4}},
        {"+new": {"c": 1}},
        {"first": None, "+run": ["$y"], "+new": "@first"},
    ],
)
def test_changes_mean_what_they_mean_in_a_second_config_file(changes: dict[str, Any], tmp_path: Path) -> None:
    files = []
    for name, content in (("base", BASE), ("changes", changes)):
        files.append(tmp_path / f"{name}.json")
        files[-1].write_text(json.dumps(content))
    assert overlay(BASE, changes, "test") == ConfigParser.load_config_files(files)


def test_the_base_and_the_changes_are_left_as_they_are() -> None:
    base, changes = copy.deepcopy(BASE), {"+new": {"c": [1]}, "+train#steps": [{"a": 3}]}
    before = copy.deepcopy(changes)
    overlay(base, changes, "test")["new"]["c"].append(2)
    assert base == BASE
    assert changes == before


def test_a_new_key_goes_before_the_next_change_and_the_last_one_behind_the_one_before() -> None:
    base = {"a": 1, "b": 2, "c": 3, "d": 4}
    assert [*overlay(base, {"a": 0, "+x": 1, "+y": 2, "c": 0}, "test")] == ["a", "b", "x", "y", "c", "d"]
    assert [*overlay(base, {"b": 0, "+x": 1, "+y": 2}, "test")] == ["a", "b", "x", "y", "c", "d"]
    assert [*overlay(base, {"+x": 1}, "test")] == ["a", "b", "c", "d", "x"]


@pytest.mark.parametrize("path", ["frist", "net#nrom", "train#steps#7#a", "nets#norm"])
def test_a_mistyped_path_is_refused_with_the_file(path: str) -> None:
    with pytest.raises(ValueError, match=rf"cts/recipe\.json: train: there is no '{path}' to change"):
        overlay(BASE, {path: 1}, "cts/recipe.json: train")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"+net": [1]}, r"'\+net' adds to an object and must be an object too"),
        ({"+run": {"a": 1}}, r"'\+run' adds to a list and must be a list too"),
        ({"+first": 2}, r"'\+first' is there already as 1; write it without \+"),
        ({"+nets#norm": 2}, r"'\+nets#norm' has no object above it"),
    ],
)
def test_an_addition_that_fits_nowhere_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"test: {message}"):
        overlay(BASE, changes, "test")
