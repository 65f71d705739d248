"""Begin a training run with weights from a file."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from torch import nn

from fewlabel.handlers.model_saver import load_network

_FIX = "name a file of weights with --start, or leave it out"
_log = logging.getLogger(__name__)


class StartWeights:
    """Load weights into the network before the first step; teachers that are its average begin as copies of it.

    For a second stage, and for fine-tuning. Counters, optimizer and schedules start afresh: to continue a run use
    :class:`fewlabel.handlers.TrainingState`.

    Args:
        network: the student.
        path: file of weights, as :class:`fewlabel.handlers.ModelSaver` writes them.
        settings: of this run, by name; a warning names those that differ from what is noted beside the weights.

    Raises:
        FileNotFoundError: no such file.
        ValueError: when the training starts, the file is damaged or holds weights of another architecture, or the note
            beside it is no note.
    """

    def __init__(
        self, network: nn.Module, path: str | os.PathLike[str], settings: Mapping[str, Any] | None = None
    ) -> None:
        self.network = network
        self.path = Path(path)
        self.settings = dict(settings or {})
        if not self.path.is_file():
            raise FileNotFoundError(f"{path}: no such file; {_FIX}")

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Load the weights."""
        load_network(self.network, self.path, _FIX)
        _log.info("the training starts with the weights of %s", self.path)
        note = self.path.with_suffix(".json")
        noted = _read(note) if note.is_file() else {}
        now = json.loads(json.dumps(self.settings))
        other = {key: noted[key] for key in now if key in noted and noted[key] != now[key]}
        if other:
            _log.warning(
                "%s: these weights were trained with %s, this run has %s",
                self.path,
                other,
                {key: now[key] for key in other},
            )


def _read(note: Path) -> Mapping[str, Any]:
    try:
        noted = json.loads(note.read_text(encoding="utf-8"))
    except ValueError as error:  # of JSON or of its encoding
        raise ValueError(
            f"{note}: not valid JSON ({error}); copy the note that belongs to the weights again"
        ) from error
    if not isinstance(noted, Mapping):
        raise ValueError(f"{note}: expected settings by name, found {noted!r}; copy the note of the weights again")
    return noted
