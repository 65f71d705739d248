"""The settings that weights were trained with travel beside them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fewlabel.conventions.intensity import check_intensity
from fewlabel.conventions.orientation import check_slice_axis
from fewlabel.json_files import read_json
from fewlabel.listing import shown

_FIX = "; copy the note that belongs to these weights, or delete it if they were trained with the paper's settings"


def _check_channels(value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"in_channels must be a number of channels, 1 or more, got {value!r}")


# settings that notes written by earlier versions don't have, and what makes sure of their values
_ADDED: dict[str, Callable[[Any], Any]] = {
    "intensity": check_intensity,
    "slice_axis": check_slice_axis,
    "in_channels": _check_channels,
}


# settings that earlier versions didn't have either, and whose value was that of another one
_FOLLOWED = {"coarse_norm": "norm"}


def training_settings(checkpoint: str | os.PathLike[str], **paper: Any) -> dict[str, Any]:
    """Return the settings that a checkpoint needs for inference.

    :class:`fewlabel.handlers.ModelSaver` notes them in ``model.json`` beside ``model.pt``: a network trained on slices
    of 96 pixels is to see slices of 96 pixels. Weights without such a note were trained with the paper's settings, and
    so were those whose note is older than ``intensity``, ``slice_axis`` and ``in_channels``, as far as these go. Before
    there was a ``coarse_norm`` the coarsest level had the others' ``norm``.

    Args:
        checkpoint: file of weights.
        paper: the settings by name, with the paper's values.

    Raises:
        FileNotFoundError: the note is a link that points nowhere.
        ValueError: the note is not JSON, or holds other settings or values of another kind.
    """
    note = Path(checkpoint).with_suffix(".json")
    if not os.path.lexists(note):
        return paper
    found = read_note(note)
    followed = {new: found[old] for new, old in _FOLLOWED.items() if new in paper and old in found}
    found = {**{name: value for name, value in paper.items() if name in _ADDED}, **followed, **found}
    if set(found) != set(paper):
        raise ValueError(f"{note}: expected the settings {sorted(paper)}, found {shown(found)}{_FIX}")
    for name, value in paper.items():
        if name in _ADDED:
            _check(note, name, found[name])
        elif type(found[name]) is not type(value):
            raise ValueError(f"{note}: {name} must be like {value!r}, found {shown(found[name])}{_FIX}")
    return found


def _check(note: Path, name: str, value: Any) -> None:
    try:
        _ADDED[name](value)
    except ValueError as error:
        raise ValueError(f"{note}: {error}{_FIX}") from None


def read_note(note: Path) -> dict[str, Any]:
    """Return the settings that :class:`fewlabel.handlers.ModelSaver` noted, whatever they are.

    Raises:
        ValueError: the note is not JSON, or holds no settings.
    """
    try:
        found = read_json(note)
    except ValueError as error:
        raise ValueError(f"{error}; it must hold settings by name{_FIX}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{note}: expected settings by name, found {shown(found)}{_FIX}")
    return found
