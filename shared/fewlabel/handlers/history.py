"""The training's diary: a line per epoch."""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events

from fewlabel.atomic import atomic_write
from fewlabel.handlers.processes import is_main_process


class JsonlLogger:
    """Keep ``history.jsonl``: per epoch the mean of each loss term, the weights, the validation and the time.

    A metric that is nan, since there was nothing to measure, is not among those of ``validation``; its name is among
    ``nothing_to_measure``.

    The file is rewritten whole each time; on a resumed run the epochs that are trained again replace what
    was noted of them. The first epoch of a run that was resumed with other settings or data lists what differs, under
    ``resumed_with``. Attach it behind the handler that validates and before the one that saves the state.

    Args:
        path: file of the history.
        evaluator: the evaluator that validates, whose metrics are noted.
    """

    def __init__(self, path: str | os.PathLike[str], evaluator: Engine | None = None) -> None:
        self.path = Path(path)
        self.evaluator = evaluator
        self._records: list[dict[str, Any]] = []
        self._sums: dict[str, Any] = {}
        self._steps = 0
        self._since = 0.0

    @property
    def folder(self) -> Path:
        """Where the history is written."""
        return self.path.parent

    def attach(self, engine: Engine) -> None:
        """Attach to a :class:`fewlabel.engines.SemiSupervisedTrainer`."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._add)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def _start(self, engine: Engine) -> None:
        self._sums = {}
        self._steps = 0
        self._since = time.perf_counter()

    def _add(self, engine: Engine) -> None:
        # tensors are added up as they are: a float would wait for the device at every step
        [step] = engine.state.output
        for name, value in {"loss": step["loss"], **step["terms"]}.items():
            self._sums[name] = self._sums.get(name, 0) + value
        self._steps += 1

    def __call__(self, engine: Engine) -> None:
        """Note the epoch that was completed."""
        if not self._records and engine.state.epoch > 1 and self.path.exists():
            self._records = read_history(self.path)
        means = {name: float(total) / self._steps for name, total in self._sums.items()}
        record: dict[str, Any] = {
            "epoch": engine.state.epoch,
            "step": engine.state.iteration,
            "seconds": round(time.perf_counter() - self._since, 3),
            "loss": means.pop("loss"),
            "terms": means,
            "weights": engine.state.weights,
            "learning_rates": [group["lr"] for optimizer in engine.optimizers for group in optimizer.param_groups],
        }
        if self.evaluator is not None and self.evaluator.state.epoch == engine.state.epoch:
            metrics = {name.removeprefix("val_"): float(value) for name, value in self.evaluator.state.metrics.items()}
            record["validation"] = {name: value for name, value in metrics.items() if not math.isnan(value)}
            if unmeasured := [name for name, value in metrics.items() if math.isnan(value)]:
                record["nothing_to_measure"] = unmeasured
        if changes := getattr(engine.state, "resumed_with", None):
            record["resumed_with"] = changes
            engine.state.resumed_with = []
        self._records = [old for old in self._records if old["epoch"] < engine.state.epoch] + [record]
        if is_main_process():
            atomic_write(self.path, "".join(json.dumps(line) + "\n" for line in self._records).encode())


def read_history(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Return the records of a history file, oldest first; none where there is no file.

    Raises:
        ValueError: a line is not a record; names the file and the line.
    """
    if not Path(path).exists():
        return []
    records = []
    for number, line in enumerate(Path(path).read_text().splitlines(), start=1):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}, line {number}: not JSON ({error}); remove the line or the file") from error
        if not isinstance(record, dict) or "epoch" not in record:
            raise ValueError(f"{path}, line {number}: not the record of an epoch; remove the line or the file")
        records.append(record)
    return records
