"""Stop a training run at any moment and continue as if it had never stopped."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any, Protocol

import torch
from ignite.engine import Engine, Events
from torch import nn

from fewlabel.atomic import atomic_open
from fewlabel.handlers.processes import gather, gather_to_main, is_main_process, rank, world_size
from fewlabel.handlers.random_states import random_states, restore_random_states
from fewlabel.handlers.tensor_file import read_tensor_file
from fewlabel.parsing import parse_arguments
from fewlabel.sampling import find_banks

_log = logging.getLogger(__name__)
_COUNTERS = {"epoch", "iteration", "epoch_length", "max_epochs", "best_metric", "best_metric_epoch", "random"}
_FIX = "resume with the settings that the training was started with, or start afresh without --resume true"


class Stateful(Protocol):
    """Something with a state to save."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state."""

    def load_state_dict(self, state: dict[str, Any]) -> Any:
        """Take the state over."""


class TrainingState:
    """Save everything that a training run is made of after each epoch, and continue from it.

    The file holds the method (networks, teachers, projectors, banks), optimizers, schedules, the data streams'
    position, random states, the best validation metric and the counters. It is replaced by renaming, so a run killed
    at any moment loses the epoch it was in and nothing else. Attach it last, behind all that happens in an epoch.
    Several processes have equal weights, but random states and banks of their own: the file holds those of each.

    A training resumed with the settings it was started with equals one that never stopped. Another ``max_epochs`` is
    allowed and reported: ramps and schedules then follow the new length from there on.

    Args:
        path: file of the state.
        evaluator: the evaluator whose best metric is to survive.
        resume: continue from ``path``. False starts afresh; a state that lies there is kept aside as ``*.previous``.
        interval: epochs between two saves; the last epoch is always saved.

    Raises:
        FileNotFoundError: when resuming, no state lies at ``path``.
        PermissionError: the folder of ``path`` can't be written to.
        ValueError: the state is damaged or belongs to another training.
    """

    @parse_arguments
    def __init__(
        self, path: str | os.PathLike[str], evaluator: Engine | None = None, resume: bool = False, interval: int = 1
    ) -> None:
        if interval < 1:
            raise ValueError(f"interval must be at least 1, got {interval}")
        self.path = Path(path)
        self.evaluator = evaluator
        self.resume = resume
        self.interval = interval
        self._saved: tuple[int, int] | None = None

    @property
    def folder(self) -> Path:
        """Where the state is written."""
        return self.path.parent

    def next_step(self) -> str:
        """Say how to go on with a training run that is stopped now."""
        if self._saved is None:
            return "no epoch was finished; start the same command again"
        return "the same command with --resume true continues after epoch {} of {}, from {}".format(
            *self._saved, self.path
        )

    def attach(self, engine: Engine) -> None:
        """Attach to a :class:`fewlabel.engines.SemiSupervisedTrainer`."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Save the state if this epoch's turn has come."""
        last = engine.state.epoch == engine.state.max_epochs
        if engine.state.epoch % self.interval and not last:
            return
        state = {
            "epoch": engine.state.epoch,
            "iteration": engine.state.iteration,
            "epoch_length": engine.state.epoch_length,
            "max_epochs": engine.state.max_epochs,
            "best_metric": float(self.evaluator.state.best_metric) if self.evaluator else None,
            "best_metric_epoch": self.evaluator.state.best_metric_epoch if self.evaluator else None,
            "random": gather(random_states()),
            **{name: part.state_dict() for name, part in _parts(engine).items()},
        }
        if world_size() > 1 and (banks := find_banks(_method(engine))):
            # the main process's are in the method's state already
            own = {} if is_main_process() else {name: _on_cpu(bank.state_dict()) for name, bank in banks.items()}
            state["banks"] = gather_to_main(own)
        if is_main_process():
            with atomic_open(self.path) as stream:
                torch.save(state, stream)
        self._saved = engine.state.epoch, engine.state.max_epochs

    def _start(self, engine: Engine) -> None:
        if is_main_process():
            # a state of many networks is large: what a killed run was writing must not pile up
            for unfinished in self.path.parent.glob(f".{self.path.name}.*.partial"):
                unfinished.unlink(missing_ok=True)
        if not self.resume:
            if self.path.exists() and is_main_process():
                os.replace(self.path, self._previous)
                _log.info("starting afresh; the state of an earlier training run was kept as %s", self._previous)
            return
        aside = (
            f"; an earlier training run's state was set aside as {self._previous}" if self._previous.exists() else ""
        )
        state = read_tensor_file(self.path, f"nothing to resume from: start without --resume true{aside}")
        self._check(engine, state)
        self._apply(engine, state)
        engine.state.epoch, engine.state.iteration = state["epoch"], state["iteration"]
        if self.evaluator is not None:
            self.evaluator.state.best_metric = state["best_metric"]
            self.evaluator.state.best_metric_epoch = state["best_metric_epoch"]
        self._saved = state["epoch"], engine.state.max_epochs
        _log.info("resumed after epoch %d of %d from %s", state["epoch"], engine.state.max_epochs, self.path)

    @property
    def _previous(self) -> Path:
        return self.path.with_name(self.path.name + ".previous")

    def _check(self, engine: Engine, state: Any) -> None:
        """Refuse a state of another training before anything of it is taken over."""
        if not isinstance(state, dict) or not state.keys() >= _COUNTERS:
            raise ValueError(f"{self.path}: holds no state of a training run; {_FIX}")
        if (saved := state.keys() - _COUNTERS - {"banks"}) != (parts := _parts(engine).keys()):
            raise ValueError(
                f"{self.path}: holds {sorted(saved)}, this training run is made of {sorted(parts)}; {_FIX}"
            )
        if state["epoch_length"] != engine.state.epoch_length:
            raise ValueError(
                f"{self.path}: made with {state['epoch_length']} steps per epoch, this run has "
                f"{engine.state.epoch_length}; {_FIX}"
            )
        if (processes := len(state["random"])) != world_size():
            raise ValueError(f"{self.path}: made by {processes} processes, this run has {world_size()}; {_FIX}")
        if (self.evaluator is None) != (state["best_metric"] is None):
            made = "without" if state["best_metric"] is None else "with"
            raise ValueError(f"{self.path}: made {made} validation, other than this run; {_FIX}")
        if state["epoch"] > engine.state.max_epochs:
            raise ValueError(
                f"{self.path}: made after epoch {state['epoch']}, this run ends at {engine.state.max_epochs}; {_FIX}"
            )
        if state["max_epochs"] != engine.state.max_epochs:
            _log.warning(
                "%s: made for %d epochs, this run has %d: ramps and schedules follow the new length from here on",
                self.path,
                state["max_epochs"],
                engine.state.max_epochs,
            )

    def _apply(self, engine: Engine, state: dict[str, Any]) -> None:
        for name, part in _parts(engine).items():
            try:
                part.load_state_dict(state[name])
            except (RuntimeError, KeyError, IndexError, ValueError) as error:
                reason = " ".join(str(error).split())[:300]
                raise ValueError(
                    f"{self.path}: its {name} does not fit this training run ({reason}); {_FIX}"
                ) from error
        for name, bank in find_banks(_method(engine)).items() if rank() > 0 else ():
            bank.load_state_dict(state["banks"][rank()][name])
        restore_random_states(state["random"][rank()])


def _method(engine: Engine) -> nn.Module:
    method: nn.Module = engine.method
    return method.module if isinstance(method, nn.parallel.DistributedDataParallel) else method


def _on_cpu(state: dict[str, Any]) -> dict[str, Any]:
    return {name: value.cpu() if isinstance(value, torch.Tensor) else value for name, value in state.items()}


def _parts(engine: Engine) -> dict[str, Stateful]:
    parts: dict[str, Stateful] = {"method": _method(engine)}
    parts |= {f"optimizer{i}": optimizer for i, optimizer in enumerate(engine.optimizers)}
    parts |= {f"lr_scheduler{i}": scheduler for i, scheduler in enumerate(engine.lr_schedulers)}
    if hasattr(engine.data_loader, "state_dict"):
        parts["data"] = engine.data_loader
    return parts
