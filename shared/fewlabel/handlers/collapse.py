"""Notice when a network gives up on a class."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import torch
from ignite.engine import Engine, Events

from fewlabel.handlers.counted import counted_voxels
from fewlabel.handlers.processes import is_distributed, is_main_process

_log = logging.getLogger(__name__)


class CollapseAlarm:
    """Warn, by name, about classes that validation never sees predicted for several rounds in a row.

    With few labels and pseudo-labels a class can die out: once both students stop predicting it, nothing brings it
    back, while the loss looks fine. Classes that no validation label holds are not counted. A network that fits the
    labeled images but calls most of every other image foreground, as batch normalization over mixed batches can
    make it, is reported too.

    Args:
        labels: class names by value; 0 is the background.
        patience: rounds without a single predicted voxel before the warning.
        prediction_key: key of the predicted classes, (K, *spatial) one-hot or (1, *spatial).
        label_key: key of the reference.

    Attributes:
        missing: rounds in a row that each class has gone unpredicted, by name.
    """

    def __init__(
        self,
        labels: Mapping[int | str, str],
        patience: int = 3,
        prediction_key: str = "pred",
        label_key: str = "label",
    ) -> None:
        if patience < 1:
            raise ValueError(f"patience must be at least 1, got {patience}")
        self.labels = {int(value): name for value, name in labels.items() if int(value) != 0}
        self.patience = patience
        self.prediction_key = prediction_key
        self.label_key = label_key
        self.missing = dict.fromkeys(self.labels.values(), 0)
        self._counts: torch.Tensor | None = None

    def attach(self, engine: Engine) -> None:
        """Attach to the evaluator that validates."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._reset)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._count)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def _reset(self, engine: Engine) -> None:
        # predicted and reference voxels by class
        self._counts = torch.zeros(2, max(self.labels, default=0) + 1, dtype=torch.float64)

    def _count(self, engine: Engine) -> None:
        counts = self._counts
        if counts is None:
            return
        for case in engine.state.output:
            predicted, reference = case[self.prediction_key], case[self.label_key]
            if len(reference) > 1 and len(predicted) > 1:
                predicted = predicted * counted_voxels(reference)
            counts[0] += _voxels(predicted, counts.shape[1])
            counts[1] += _voxels(reference, counts.shape[1])

    def __call__(self, engine: Engine) -> None:
        """Judge the round that was completed."""
        counts = self._counts
        if counts is None:
            return
        if is_distributed():
            counts = counts.to(engine.state.device)
            torch.distributed.all_reduce(counts)
        predicted, reference = counts.tolist()
        for value, name in self.labels.items():
            gone = reference[value] > 0 and predicted[value] == 0
            self.missing[name] = self.missing[name] + 1 if gone else 0
            if self.missing[name] >= self.patience and is_main_process():
                _log.warning(
                    "%s has not been predicted once on validation for %d rounds: it has died out. Lower the weight of "
                    "the unsupervised terms or their ramp, or label a case that shows it well",
                    name,
                    self.missing[name],
                )
        total, wanted = sum(predicted[1:]), sum(reference[1:])
        if wanted > 0 and total > 10 * wanted and is_main_process():
            _log.warning(
                "the network calls %.0f times as many voxels foreground as there are: statistics of batch "
                "normalization may not fit single scans (see docs/training.md, normalization)",
                total / wanted,
            )


def _voxels(classes: Any, num_classes: int) -> torch.Tensor:
    if classes.shape[0] > 1:
        classes = classes.argmax(dim=0)
    flat = torch.as_tensor(classes).flatten().long().cpu()
    return torch.bincount(flat, minlength=num_classes)[:num_classes].double()
