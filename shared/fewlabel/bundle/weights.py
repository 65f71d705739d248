"""The settings that weights were trained with travel beside them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def trained_with(checkpoint: str | os.PathLike[str], **paper: Any) -> dict[str, Any]:
    """Return the settings that a checkpoint needs for inference.

    :class:`fewlabel.handlers.ModelSaver` notes them in ``model.json`` beside ``model.pt``: a network trained on slices
    of 96 pixels is to see slices of 96 pixels. Weights without such a note were trained with the paper's settings.

    Args:
        checkpoint: file of weights.
        paper: the settings by name, with the paper's values.

    Raises:
        ValueError: the note is not JSON or holds other settings.
    """
    note = Path(checkpoint).with_suffix(".json")
    if not note.exists():
        return paper
    try:
        found = json.loads(note.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{note}: not valid JSON ({error}); it must hold {sorted(paper)}") from error
    if not isinstance(found, dict) or set(found) != set(paper):
        raise ValueError(f"{note}: expected the settings {sorted(paper)}, found {found}")
    return found
