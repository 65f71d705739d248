"""Start a new bundle from the recipe of one that is like it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fewlabel.atomic import atomic_write
from fewlabel.bundle.recipes.json_text import format_json, read_json
from fewlabel.bundle.recipes.recipe import NAME, PARTS, RECIPE
from fewlabel.bundle.recipes.write import check_configs, checkout, write_configs

# what stands in a new bundle until somebody writes it; `fewlabel verify` looks for these words
PLACEHOLDERS = (
    "To be described: what this method learns, from which data",
    "To be described: what this method does",
    "To be named: the paper of this method",
    "Say in two lines what this method does and for whom.",
    "The loss terms, the networks and the settings of the paper, in words.",
    "What a training step holds, and what else decides how much memory it takes.",
    "The paper of the method, of its networks and of the data.",
)
_TASK, _DESCRIPTION, _REFERENCE, _SUMMARY, _TERMS, _MEMORY, _REFERENCES = PLACEHOLDERS

_PARTS = f"""# {{name}}

{_SUMMARY} The settings below are still those of `{{like}}`.

## Description

{_TERMS}

## Performance

The paper's figures, labeled as the paper's, with their table. None are quoted yet.

### Options

| option | meaning | default |
|---|---|---|
| `--paper#norm` | normalization of the network | the recipe's |

## System Configuration

{_MEMORY}

## Where paper and released code disagree, and what we took

Nothing was compared yet.

## Measured here

Not measured.

## Limitations

For research, not a medical device: no clinical decision may rest on it. Nothing else is known yet.

## Citation

Please cite the paper of the method.

## References

{_REFERENCES}
"""


def new_bundle(name: str, like: str, root: Path | None = None) -> list[Path]:
    """Make ``bundles/<name>`` with the recipe of another bundle, headings to fill in, and configs that run.

    Args:
        name: of the new bundle: lower case words, joined by underscores.
        like: the bundle whose recipe it starts from.
        root: the project's folder; that of this package when left out.

    Returns:
        The files that were written or changed, the recipe and the README's parts first.

    Raises:
        FileExistsError: there is such a folder.
        FileNotFoundError: the other bundle has no recipe.
        ValueError: the name can't be one.
    """
    root = root or checkout()
    folder, template = root / "bundles" / name, root / "bundles" / like / RECIPE
    if not NAME.fullmatch(name):
        raise ValueError(f"the name is {name!r}; expected lower case words such as mean_teacher")
    if folder.exists():
        raise FileExistsError(f"{folder}: there is such a bundle; choose another name")
    if not NAME.fullmatch(like) or not template.is_file():
        known = ", ".join(sorted(file.parent.name for file in (root / "bundles").glob(f"*/{RECIPE}")))
        raise FileNotFoundError(f"{template}: no such recipe; the ones to start from are {known}")
    check_configs(root)  # an error in another recipe is raised before anything is written
    recipe = _renamed(read_json(template), name)
    own = [
        atomic_write(folder / RECIPE, format_json(recipe).encode()),
        atomic_write(folder / PARTS, _PARTS.replace("{name}", name).replace("{like}", like).encode()),
    ]
    return [*own, *write_configs(root)]


def _renamed(recipe: dict[str, Any], name: str) -> dict[str, Any]:
    # the words, papers and figures belong to the other method
    words = {"task": _TASK, "description": _DESCRIPTION, "references": [_REFERENCE]}
    table = {"for": "to be described", "paper": "to be named", "measured": None}
    kept = {key: value for key, value in recipe.items() if key != "overlays"}
    return {**kept, "name": name, "title": name, "metadata": {**recipe["metadata"], **words}, "table": table}
