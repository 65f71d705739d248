"""The settings that weights were trained with travel beside them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

# settings that notes before 0.1.0 do not have, as there was one value only
_ADDED = {"in_channels": 1}
_CURE = "; copy the note that belongs to these weights, or delete it if they were trained with the paper's settings"


def training_settings(checkpoint: str | os.PathLike[str], **paper: Any) -> dict[str, Any]:
    """Return the settings that a checkpoint needs for inference.

    :class:`fewlabel.handlers.ModelSaver` notes them in ``model.json`` beside ``model.pt``: a network trained on slices
    of 96 pixels is to see slices of 96 pixels. Weights without such a note were trained with the paper's settings.
    A note without ``in_channels`` is of a time when images had one channel.

    Args:
        checkpoint: file of weights.
        paper: the settings by name, with the paper's values.

    Raises:
        ValueError: the note is not JSON, or holds other settings or values of another kind.
    """
    note = Path(checkpoint).with_suffix(".json")
    if not note.exists():
        return paper
    found = {**{name: value for name, value in _ADDED.items() if name in paper}, **read_note(note)}
    if set(found) != set(paper):
        raise ValueError(f"{note}: expected the settings {sorted(paper)}, found {found}{_CURE}")
    for name, value in paper.items():
        if type(found[name]) is not type(value):
            raise ValueError(f"{note}: {name} must be like {value!r}, found {found[name]!r}{_CURE}")
    return found


def read_note(note: Path) -> dict[str, Any]:
    """Return the settings that :class:`fewlabel.handlers.ModelSaver` noted, whatever they are.

    Raises:
        ValueError: the note is not JSON, or holds no settings.
    """
    try:
        found = json.loads(note.read_text(encoding="utf-8"))
    except ValueError as error:  # of JSON or of its encoding
        raise ValueError(f"{note}: not valid JSON ({error}); it must hold settings by name{_CURE}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{note}: expected settings by name, found {found!r}{_CURE}")
    return found
