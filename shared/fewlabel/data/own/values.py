"""Which values of a user's masks become which labels."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewlabel.data.own.pictures import color_name, color_value
from fewlabel.listing import first_few

_COLOR = re.compile(r"#[0-9a-fA-F]{6}")


def parse_mapping(text: str) -> dict[int, int]:
    """Read ``0:0,255:1`` or, for masks in color, ``#000000:0,#ff0000:1``: each value with its label.

    Raises:
        ValueError: an entry is no such pair, or a value has two labels.

    >>> parse_mapping("0:0,255:1")
    {0: 0, 255: 1}
    """
    mapping: dict[int, int] = {}
    for entry in filter(None, re.sub(r"[\s{}'\"]", "", text).split(",")):
        value, _, label = entry.rpartition(":")
        if not label.isdecimal() or int(label) > 255 or not (value.isdecimal() or _COLOR.fullmatch(value)):
            raise ValueError(
                f"mapping has {entry!r}, but it must be values or colors with their labels: '0:0,255:1' or "
                "'#000000:0,#ff0000:1'"
            )
        key = color_value(value) if value.startswith("#") else int(value)
        if mapping.get(key, int(label)) != int(label):
            raise ValueError(f"mapping gives {value} the labels {mapping[key]} and {label}: choose one")
        mapping[key] = int(label)
    return mapping


def parse_names(text: str) -> list[str]:
    """Read ``background,liver,tumor``: the labels' names in order, from 0; a list in brackets and quotes is read too.

    Raises:
        ValueError: fewer than two names, an empty one or one twice.

    >>> parse_names("background, liver")
    ['background', 'liver']
    >>> parse_names("['background', 'liver']")
    ['background', 'liver']
    """
    listed = re.fullmatch(r"\s*\[(.*)\]\s*", text)
    names = [name.strip(" '\"") for name in listed[1].split(",")] if listed else [n.strip() for n in text.split(",")]
    if len(names) < 2 or not all(names) or len(set(names)) < len(names):
        raise ValueError(f"names is {text!r}, but it must be different names of the labels from 0: 'background,liver'")
    return names


def mapped(path: Path, values: NDArray[Any], mapping: Mapping[int, int]) -> NDArray[np.uint8]:
    """Replace values by labels.

    Raises:
        ValueError: a value has no label.

    """
    found, places = np.unique(values, return_inverse=True)
    unknown = [value for value in found.tolist() if value not in mapping]
    if unknown:
        lossy = "; JPEG changes values, so masks should be PNG" if path.suffix.lower() in (".jpg", ".jpeg") else ""
        raise ValueError(
            f"{path} holds {first_few(map(color_name, unknown))}, which mapping does not name: add "
            f"'{color_name(unknown[0])}:LABEL'{lossy}"
        )
    labels = np.array([mapping[value] for value in found.tolist()], np.uint8)
    return np.asfortranarray(labels[places].reshape(values.shape))


def require_labels(path: Path, values: Collection[float], named: int, picture: bool) -> None:
    """Refuse a mask whose values are no labels as they stand.

    Args:
        path: the mask.
        values: what it holds.
        named: how many labels have names; values below are labels in any case.
        picture: values below 0 are colors of :func:`fewlabel.data.own.pictures.read_masks`.

    Raises:
        ValueError: colors, fractions, or values far beyond a label's number such as 0 and 255; it says how to map them.

    """
    found = sorted(values)
    if any(value != int(value) for value in found):
        raise ValueError(
            f"{path} holds {first_few(found)}, but labels are whole numbers: it was resampled with interpolation or is "
            "no label map"
        )
    whole = [int(value) for value in found]
    example = ",".join(f"{color_name(value)}:{label}" for label, value in enumerate(_background_first(whole)[:5]))
    if whole[0] < 0 and not picture:
        raise ValueError(f"{path} holds {first_few(whole)}, but labels count from 0: correct the file")
    if whole[0] < 0:
        colors = first_few(map(color_name, whole))
        raise ValueError(
            f"{path} is in color ({colors}): say which color is which label, for instance --mapping '{example}'"
        )
    # labels follow each other, levels of gray such as 0 and 255 do not
    if whole[-1] >= max(named, 2 * len(whole), 32):
        raise ValueError(
            f"{path} holds the values {first_few(whole)}, which look like levels of gray: say which value is which "
            f"label, for instance --mapping '{example}'"
        )


def named_labels(values: Collection[int], names: list[str]) -> dict[str, int]:
    """The entries of ``dataset.json``: the names given, or ``label 1``, ``label 2``, ... for the values found.

    Raises:
        ValueError: a value has no name, or without names some are missing in between.

    """
    highest = max(values, default=0)
    if names and highest >= len(names):
        raise ValueError(
            f"the label maps hold {highest}, but --names has {len(names)} names, for 0 to {len(names) - 1}: name all"
        )
    if not names:
        if absent := sorted(set(range(1, highest)) - set(values)):
            raise ValueError(
                f"the label maps hold {first_few(sorted(values))}, but not {first_few(absent)}: name all labels with "
                "--names, or renumber them with --mapping"
            )
        if highest == 0:
            raise ValueError("all label maps are empty: nothing can be learned from them")
        names = ["background", *(f"label {value}" for value in range(1, highest + 1))]
    return {name: value for value, name in enumerate(names)}


def _background_first(values: list[int]) -> list[int]:
    return sorted(values, key=lambda value: (value != 0, value))
