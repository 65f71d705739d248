"""The recipe of a bundle, the one file of it that is edited by hand, beside its own parts of the README."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fewlabel.bundle.recipes.json_text import read_json

RECIPE = "recipe.json"
PARTS = "README.parts.md"
KINDS = {"slices": "2D", "volumes": "3D"}
NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_TEXTS = ("kind", "name", "title")
_REQUIRED = ("train", "small", "metadata", "table")
_OPTIONAL = ("second_network", "inference", "evaluate", "multi_gpu_train", "overlays", "readme", "saved")


@dataclass(frozen=True)
class Recipe:
    """What makes a bundle its method.

    Args:
        file: where the recipe is.
        kind: what the network sees: "slices" or "volumes"; the folder of ``shared/base_configs``.
        name: the bundle's name, that of its folder.
        title: how reports call the method.
        second_network: the entry of ``train.json`` that defines a second network, compared under ``--uncertainty``.
        sections: changes by the config that they are for, and ``overlays``, ``readme``, ``saved`` and ``table``.
    """

    file: Path
    kind: str
    name: str
    title: str
    second_network: str | None = None
    sections: dict[str, dict[str, Any]] = field(default_factory=dict)

    def where(self, section: str) -> str:
        """Name the file and a section of it, for messages."""
        return f"{self.file}: {section}"


def read_recipe(file: Path) -> Recipe:
    """Read and check a recipe.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no JSON, or an entry is missing, unknown or of the wrong kind.
    """
    content = read_json(file)
    for key in (*_TEXTS, *_REQUIRED):
        if key not in content:
            raise ValueError(f"{file}: has no {key!r}; every recipe has {', '.join((*_TEXTS, *_REQUIRED))}")
    for key, value in content.items():
        if key not in (*_TEXTS, *_REQUIRED, *_OPTIONAL):
            raise ValueError(f"{file}: {key!r} is unknown; a recipe has {', '.join((*_TEXTS, *_REQUIRED, *_OPTIONAL))}")
        kind, name = (str, "text") if key in (*_TEXTS, "second_network") else (dict, "an object")
        if not isinstance(value, kind) or not (value or kind is dict):
            raise ValueError(f"{file}: {key!r} is {value!r}; expected {name}")
    if content["kind"] not in KINDS:
        raise ValueError(f"{file}: the kind is {content['kind']!r}; expected one of {', '.join(KINDS)}")
    if content["name"] != file.parent.name:
        raise ValueError(f"{file}: the name is {content['name']!r}; expected {file.parent.name!r}, as the folder's")
    if not NAME.fullmatch(content["name"]):
        raise ValueError(f"{file}: the name is {content['name']!r}; expected lower case words such as mean_teacher")
    sections = {key: content.get(key, {}) for key in (*_REQUIRED, *_OPTIONAL) if key != "second_network"}
    texts = {key: content[key] for key in _TEXTS}
    return Recipe(file=file, second_network=content.get("second_network"), sections=sections, **texts)
