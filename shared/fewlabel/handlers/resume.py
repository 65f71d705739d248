"""Stop a training at any moment and continue as if it had never stopped."""

from __future__ import annotations

import logging
import os
import pickle
import random
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from ignite.engine import Engine, Events
from torch import nn

from fewlabel.atomic import appearing
from fewlabel.handlers.processes import gather, is_main_process, rank, world_size

_log = logging.getLogger(__name__)


class Stateful(Protocol):
    """Something with a state to save."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state."""

    def load_state_dict(self, state: dict[str, Any]) -> Any:
        """Take the state over."""


class TrainingState:
    """Save everything that a training is made of after each epoch, and continue from it.

    The file holds the method (networks, teachers, projectors, banks), optimizers, schedules, the data streams'
    position, random states, the best validation metric and the counters. It is replaced by renaming, so a run killed
    at any moment loses the epoch it was in and nothing else. Attach it last, behind all that happens in an epoch.

    Args:
        path: file of the state.
        evaluator: the evaluator whose best metric is to survive.
        resume: continue from ``path``. False starts afresh; a state that lies there is kept aside as ``*.previous``.
        interval: epochs between two saves; the last epoch is always saved.

    Raises:
        FileNotFoundError: when resuming, no state lies at ``path``.
        ValueError: the state is damaged or belongs to another training.
    """

    def __init__(
        self, path: str | os.PathLike[str], evaluator: Engine | None = None, resume: bool = False, interval: int = 1
    ) -> None:
        if interval < 1:
            raise ValueError(f"interval must be at least 1, got {interval}")
        self.path, self.evaluator, self.resume, self.interval = Path(path), evaluator, resume, interval

    def attach(self, engine: Engine) -> None:
        """Attach to a :class:`fewlabel.engines.SemiSupervisedTrainer`."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        last = engine.state.epoch == engine.state.max_epochs
        if engine.state.epoch % self.interval and not last:
            return
        state = {
            "epoch": engine.state.epoch,
            "iteration": engine.state.iteration,
            "epoch_length": engine.state.epoch_length,
            "best_metric": float(self.evaluator.state.best_metric) if self.evaluator else None,
            "best_metric_epoch": self.evaluator.state.best_metric_epoch if self.evaluator else None,
            "random": gather(_random_states()),
            **{name: part.state_dict() for name, part in _parts(engine).items()},
        }
        if is_main_process():
            with appearing(self.path) as stream:
                torch.save(state, stream)

    def _start(self, engine: Engine) -> None:
        if not self.resume:
            if self.path.exists() and is_main_process():
                os.replace(self.path, self.path.with_name(self.path.name + ".previous"))
            return
        if not self.path.exists():
            raise FileNotFoundError(f"{self.path}: nothing to resume from; start without --resume true")
        state = _read(self.path)
        if state["epoch_length"] != engine.state.epoch_length:
            raise ValueError(
                f"{self.path}: made with {state['epoch_length']} steps per epoch, this run has "
                f"{engine.state.epoch_length}; resume with the settings that the training was started with"
            )
        self._apply(engine, state)
        engine.state.epoch, engine.state.iteration = state["epoch"], state["iteration"]
        if self.evaluator is not None:
            self.evaluator.state.best_metric = state["best_metric"]
            self.evaluator.state.best_metric_epoch = state["best_metric_epoch"]
        _log.info("resumed after epoch %d of %d from %s", state["epoch"], engine.state.max_epochs, self.path)

    def _apply(self, engine: Engine, state: dict[str, Any]) -> None:
        parts = _parts(engine)
        saved = set(state) - {"epoch", "iteration", "epoch_length", "best_metric", "best_metric_epoch", "random"}
        if saved != set(parts):
            raise ValueError(f"{self.path}: holds {sorted(saved)}, this training is made of {sorted(parts)}")
        for name, part in parts.items():
            try:
                part.load_state_dict(state[name])
            except (RuntimeError, KeyError, IndexError) as error:
                raise ValueError(
                    f"{self.path}: its {name} does not fit this training ({str(error).splitlines()[0]}); resume with "
                    "the settings that the training was started with"
                ) from error
        if len(state["random"]) != world_size():
            raise ValueError(
                f"{self.path}: made by {len(state['random'])} processes, this run has {world_size()}; resume with as many"
            )
        _restore_random_states(state["random"][rank()])


def _parts(engine: Engine) -> dict[str, Stateful]:
    method = engine.method
    parts: dict[str, Stateful] = {
        "method": method.module if isinstance(method, nn.parallel.DistributedDataParallel) else method
    }
    parts |= {f"optimizer{i}": optimizer for i, optimizer in enumerate(engine.optimizers)}
    parts |= {f"lr_scheduler{i}": scheduler for i, scheduler in enumerate(engine.lr_schedulers)}
    if hasattr(engine.data_loader, "state_dict"):
        parts["data"] = engine.data_loader
    return parts


def _read(path: Path) -> dict[str, Any]:
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise ValueError(f"{path}: damaged ({str(error).splitlines()[0]}); start without --resume true") from error
    return state


def _random_states() -> dict[str, Any]:
    _, keys, position, has_gauss, cached = np.random.get_state()  # noqa: NPY002 - MONAI draws from it
    states: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": [torch.from_numpy(np.asarray(keys).astype(np.int64)), int(position), int(has_gauss), float(cached)],
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state_all()
    return states


def _restore_random_states(states: dict[str, Any]) -> None:
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))
    keys, position, has_gauss, cached = states["numpy"]
    np.random.set_state(("MT19937", keys.numpy().astype(np.uint32), position, has_gauss, cached))  # noqa: NPY002
    torch.set_rng_state(states["torch"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(states["cuda"])
