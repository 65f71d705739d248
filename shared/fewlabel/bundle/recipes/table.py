"""The table of all bundles, in marked blocks of the documentation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

from fewlabel.bundle.recipes.recipe import KINDS, Recipe

BEGIN, END = "<!-- bundles: begin -->", "<!-- bundles: end -->"
_KEYS = ("for", "paper", "measured")
_FIGURE = ("figure", "of", "source")
_HEAD = "| bundle | dimension | what it is for | paper | measured |\n|---|---|---|---|---|"


def with_table(text: str, recipes: Iterable[Recipe], page: str) -> str:
    """Return a page with the table of bundles between its marks.

    Args:
        text: the page.
        recipes: of all bundles; kinds stand together, names in alphabetical order.
        page: the page's path in the checkout, from which links are relative.

    Raises:
        ValueError: the marks are not there once each, or a recipe's ``table`` is not complete.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"{page}: expected one block between {BEGIN} and {END} for the table of bundles; add it")
    kinds = list(KINDS)
    ordered = sorted(recipes, key=lambda recipe: (kinds.index(recipe.kind), recipe.name))
    rows = [_row(recipe, PurePosixPath(page)) for recipe in ordered]
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n" + "\n".join([_HEAD, *rows]) + f"\n{END}{rest.split(END)[1]}"


def _row(recipe: Recipe, page: PurePosixPath) -> str:
    table, where = recipe.sections["table"], recipe.where("table")
    if set(table) != set(_KEYS):
        raise ValueError(f"{where}: has {', '.join(sorted(table)) or 'nothing'}; expected {', '.join(_KEYS)}")
    for key in ("for", "paper"):
        if not isinstance(table[key], str) or not table[key] or "|" in table[key] or "\n" in table[key]:
            raise ValueError(f"{where}: {key!r} is {table[key]!r}; expected a line of text without |")
    measured = "not measured" if table["measured"] is None else _measured(table["measured"], where, page)
    return f"| `{recipe.name}` | {KINDS[recipe.kind]} | {table['for']} | {table['paper']} | {measured} |"


def _measured(figure: Any, where: str, page: PurePosixPath) -> str:
    if not isinstance(figure, Mapping) or set(figure) != set(_FIGURE) or not all(map(_is_line, figure.values())):
        raise ValueError(f"{where}: measured is {figure!r}; expected null or texts for {', '.join(_FIGURE)}")
    source = figure["source"]
    if not source.startswith("docs/"):
        raise ValueError(f"{where}: the source is {source!r}; expected a page that has the command, such as docs/a.md")
    link = source.removeprefix("docs/") if page.parts[0] == "docs" else source
    return f"{figure['figure']} ([{figure['of']}]({link}))"


def _is_line(value: object) -> bool:
    return isinstance(value, str) and bool(value) and "|" not in value and "\n" not in value
