"""Tell a person how far the training is."""

from __future__ import annotations

import logging
import math
import sys
import time
from typing import Any

from ignite.engine import Engine, Events
from tqdm import tqdm

from fewlabel.handlers.processes import is_main_process
from fewlabel.handlers.strict_mean_dice import UNMEASURED
from fewlabel.handlers.terms import step_scalars

_log = logging.getLogger(__name__)


class Progress:
    """Show a bar over the whole training with loss terms and time left, and a line per epoch.

    On a terminal the bar moves; in a log file only the lines appear. Of several processes the main one speaks.

    Args:
        evaluator: the evaluator that validates, whose key metric is shown.
        every: steps between two looks at the loss terms; each look waits for the device.
    """

    def __init__(self, evaluator: Engine | None = None, every: int = 10) -> None:
        self.evaluator = evaluator
        self.every = every
        self._bar: Any = None
        self._started = 0.0
        self._done_before = 0

    def attach(self, engine: Engine) -> None:
        """Attach to a :class:`fewlabel.engines.SemiSupervisedTrainer`."""
        if not is_main_process():
            return
        # not at STARTED: the handler that resumes a training run, attached behind this one, has set no counter by then
        engine.add_event_handler(Events.EPOCH_STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._step)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)
        engine.add_event_handler(Events.COMPLETED | Events.EXCEPTION_RAISED, self._stop)

    def _start(self, engine: Engine) -> None:
        if self._bar is not None:
            return
        state = engine.state
        self._bar = tqdm(
            total=state.max_epochs * state.epoch_length,
            initial=state.iteration,
            unit="step",
            disable=not sys.stderr.isatty(),
            dynamic_ncols=True,
        )
        self._started = time.perf_counter()
        self._done_before = state.iteration

    def _step(self, engine: Engine) -> None:
        self._bar.update()
        if engine.state.iteration % self.every == 0 and not self._bar.disable:
            terms = {name: f"{float(value):.3f}" for name, value in engine.state.output[0]["terms"].items()}
            self._bar.set_postfix(terms, refresh=False)

    def __call__(self, engine: Engine) -> None:
        """Report the epoch that was completed."""
        state = engine.state
        spent = time.perf_counter() - self._started
        total = state.max_epochs * state.epoch_length
        left = spent / max(state.iteration - self._done_before, 1) * (total - state.iteration)
        parts = [f"epoch {state.epoch}/{state.max_epochs}", f"step {state.iteration}/{total}"]
        parts += [f"{name} {value:.3f}" for name, value in step_scalars(state.output).items()]
        if self.evaluator is not None and self.evaluator.state.epoch == state.epoch:
            parts += _validation(self.evaluator)
        with tqdm.external_write_mode(file=sys.stderr):
            _log.info("%s | %.0f s, about %.0f s left", "  ".join(parts), spent, left)

    def _stop(self, engine: Engine, error: BaseException | None = None) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        if error is not None:
            raise error


def _validation(evaluator: Engine) -> list[str]:
    """Return the key metric, and the same of networks that are scored beside the first one."""
    state = evaluator.state
    names = [state.key_metric_name, *(f"val_{name}_mean_dice" for name in getattr(state, "best_of", {}))]
    values = {name: float(state.metrics[name]) for name in names if name in state.metrics}
    return [f"{name}: {UNMEASURED}" if math.isnan(x) else f"{name} {x:.3f}" for name, x in values.items()]
