"""Write the files of all bundles that follow from their recipes, or tell which ones differ."""

from __future__ import annotations

from pathlib import Path

import fewlabel
from fewlabel.atomic import atomic_write
from fewlabel.bundle.recipes.bundle_configs import base_file, bundle_configs
from fewlabel.bundle.recipes.json_text import format_json, read_json
from fewlabel.bundle.recipes.readme import bundle_readme
from fewlabel.bundle.recipes.recipe import PARTS, RECIPE, Recipe, read_recipe
from fewlabel.bundle.recipes.table import with_table

PAGES = ("README.md", "docs/index.md")
_FOLDERS = ("configs", "docs")


def checkout() -> Path:
    """Return the root of the checkout that this package is in.

    Raises:
        FileNotFoundError: the package is installed without the project around it.
    """
    root = Path(fewlabel.__file__).parents[2]
    if not (root / "shared" / "base_configs").is_dir():
        raise FileNotFoundError(
            "recipes are written in a checkout of the project: call fewlabel there, with the package installed by "
            f"pip install --editable; there is no {root / 'shared' / 'base_configs'}"
        )
    return root


def write_configs(root: Path | None = None) -> list[Path]:
    """Write what differs from the recipes, and return it; nothing is written if any recipe is wrong.

    Args:
        root: the project's folder; that of this package when left out.

    Raises:
        FileNotFoundError: a file that the recipes need is missing.
        ValueError: a recipe or a README's part is wrong.
    """
    root = root or checkout()
    changed = {file: content for file, content in _files(root).items() if not _is(file, content)}
    return [atomic_write(file, content) for file, content in changed.items()]


def check_configs(root: Path | None = None) -> list[str]:
    """Return a line for each file that is not what the recipes give: changed, missing or not written by any.

    Args:
        root: the project's folder; that of this package when left out.

    Raises:
        FileNotFoundError: a file that the recipes need is missing.
        ValueError: a recipe or a README's part is wrong.
    """
    root = root or checkout()
    contents = _files(root)
    problems = []
    for file, content in contents.items():
        if not _is(file, content):
            problems.append(f"{file.relative_to(root)} {'differs' if file.is_file() else 'is missing'}")
    for recipe in recipe_files(root):
        for folder in _FOLDERS:
            for file in sorted((recipe.parent / folder).rglob("*")):
                hidden = any(part.startswith(".") for part in file.relative_to(recipe.parent).parts)
                if file.is_file() and not hidden and file not in contents:
                    problems.append(f"{file.relative_to(root)} comes from no recipe")
    return problems


def recipe_files(root: Path) -> list[Path]:
    """Return the recipes of a checkout in the order of their bundles' names."""
    return sorted((root / "bundles").glob(f"*/{RECIPE}"))


def _is(file: Path, content: bytes) -> bool:
    return file.is_file() and file.read_bytes() == content


def _files(root: Path) -> dict[Path, bytes]:
    recipes = [read_recipe(file) for file in recipe_files(root)]
    files = {}
    for recipe in recipes:
        files.update(_of_bundle(root, recipe))
    for page in PAGES:
        text = (root / page).read_text(encoding="utf-8")
        files[root / page] = with_table(text, recipes, page).encode()
    return files


def _of_bundle(root: Path, recipe: Recipe) -> dict[Path, bytes]:
    base, folder = root / "shared" / "base_configs", recipe.file.parent
    configs = bundle_configs(base, recipe)
    files = {folder / "configs" / f"{name}.json": format_json(config).encode() for name, config in configs.items()}
    shared = base / recipe.kind
    defaults = read_json(shared / "readme.json")
    unknown = sorted(recipe.sections["readme"].keys() - defaults.keys())
    if unknown:
        raise ValueError(f"{recipe.where('readme')}: {unknown[0]!r} is unknown; expected {', '.join(defaults)}")
    size = configs["train"]["paper"]["size"]
    sides = size if isinstance(size, list) else [size] * 2
    values = {**defaults, **recipe.sections["readme"], "name": recipe.name, "size": " x ".join(map(str, sides))}
    files[folder / "docs" / "README.md"] = bundle_readme(shared / "README.md", folder / PARTS, values).encode()
    files[folder / "docs" / "data_license.txt"] = (shared / "data_license.txt").read_bytes()
    files[folder / "configs" / "logging.conf"] = base_file(base, recipe.kind, "logging.conf").read_bytes()
    files[folder / "LICENSE"] = (root / "LICENSE").read_bytes()
    return files
