from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fewlabel.bundle.recipes.recipe import Recipe
from fewlabel.bundle.recipes.table import with_table

PAGE = "Before.\n\n<!-- bundles: begin -->\nold\n<!-- bundles: end -->\n\nAfter.\n"
FIGURE = {"figure": "Dice 0.6", "of": "validation", "source": "docs/results.md#here"}


def recipe(name: str, kind: str = "slices", **table: Any) -> Recipe:
    row = {"for": f"{name} things", "paper": "Doe, MICCAI 2020", "measured": None, **table}
    return Recipe(Path(name) / "recipe.json", kind, name, name, sections={"table": row})


def test_the_block_has_a_row_for_each_bundle_slices_first_and_all_else_stays() -> None:
    recipes = [recipe("b", measured=FIGURE), recipe("v", "volumes"), recipe("a")]
    assert with_table(PAGE, recipes, "README.md") == (
        "Before.\n\n<!-- bundles: begin -->\n"
        "| bundle | dimension | what it is for | paper | measured |\n|---|---|---|---|---|\n"
        "| `a` | 2D | a things | Doe, MICCAI 2020 | not measured |\n"
        "| `b` | 2D | b things | Doe, MICCAI 2020 | Dice 0.6 ([validation](docs/results.md#here)) |\n"
        "| `v` | 3D | v things | Doe, MICCAI 2020 | not measured |\n"
        "<!-- bundles: end -->\n\nAfter.\n"
    )


def test_links_are_relative_to_the_page() -> None:
    assert "([validation](results.md#here))" in with_table(PAGE, [recipe("b", measured=FIGURE)], "docs/index.md")


def test_a_second_time_changes_nothing() -> None:
    once = with_table(PAGE, [recipe("a")], "README.md")
    assert with_table(once, [recipe("a")], "README.md") == once


@pytest.mark.parametrize("text", ["nothing", PAGE + PAGE, "<!-- bundles: end --><!-- bundles: begin -->"])
def test_a_page_without_one_block_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"README\.md: expected one block between"):
        with_table(text, [], "README.md")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"state": "here"}, "has for, measured, paper, state; expected for, paper, measured"),
        ({"for": "a | b"}, r"'for' is 'a \| b'; expected a line of text without \|"),
        ({"measured": {"figure": "Dice 0.6"}}, "expected null or texts for figure, of, source"),
        ({"measured": {**FIGURE, "source": "a letter"}}, "the source is 'a letter'; expected a page"),
    ],
)
def test_a_figure_without_its_source_or_a_wrong_row_is_refused(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=rf"a/recipe\.json: table: .*{message}"):
        with_table(PAGE, [recipe("a", **table)], "README.md")
