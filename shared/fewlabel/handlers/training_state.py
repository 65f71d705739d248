"""Stop a training run at any moment and continue as if it had never stopped."""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events

from fewlabel.atomic import atomic_open
from fewlabel.finite import not_finite
from fewlabel.handlers.made_with import Record, differences, listed, made_with, other_surroundings
from fewlabel.handlers.processes import gather, gather_to_main, is_main_process, world_size
from fewlabel.handlers.random_states import random_states
from fewlabel.handlers.state_parts import apply_state, method_of, on_cpu, parts_of
from fewlabel.handlers.tensor_file import read_tensor_file
from fewlabel.listing import first_few
from fewlabel.parsing import parse_arguments
from fewlabel.sampling import find_banks

_log = logging.getLogger(__name__)
_COUNTERS = {"epoch", "iteration", "epoch_length", "max_epochs", "best_metric", "best_metric_epoch", "random"}
_OPTIONAL = {"banks", "best_of", "made_with"}
_FIX = "resume with the settings that the training was started with, or start afresh without --resume true"


class TrainingState:
    """Save everything that a training run is made of after each epoch, and continue from it.

    The file holds the method (networks, teachers, projectors, banks), optimizers, schedules, the data streams'
    position, random states, the best validation metric and the counters. It is replaced by renaming, so a run killed
    at any moment loses the epoch it was in and nothing else. Attach it last, behind all that happens in an epoch.
    Several processes have equal weights, but random states and banks of their own: the file holds those of each.

    A training resumed with the settings and the data it was started with equals one that never stopped; with others it
    is refused, and the error lists what differs, see :func:`fewlabel.handlers.made_with.differences`. A larger
    ``max_epochs`` is allowed and reported: ramps and schedules then follow the new length from there on.

    A state with a value that is not finite is never written: the one before stays, and the run fails.

    Args:
        path: file of the state.
        evaluator: the evaluator whose best metric is to survive.
        resume: continue from ``path``. False starts afresh; a state that lies there is set aside when the first step is
            done, as ``*.previous``, ``*.previous2`` and so on.
        interval: epochs between two saves; the last epoch is always saved.
        resume_changed: resume with other settings or data nevertheless; ``engine.state.resumed_with`` then lists them,
            for the history.
        settings: the run's settings by name, as its config has them, which make differences easier to read.

    Raises:
        FileNotFoundError: when resuming, no state lies at ``path``.
        PermissionError: the folder of ``path`` can't be written to.
        ValueError: the state is damaged, belongs to another training, or holds values that are not finite.
    """

    @parse_arguments
    def __init__(
        self,
        path: str | os.PathLike[str],
        evaluator: Engine | None = None,
        resume: bool = False,
        interval: int = 1,
        resume_changed: bool = False,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        if interval < 1:
            raise ValueError(f"interval must be at least 1, got {interval}")
        if resume_changed and not resume:
            raise ValueError("resume_changed is for runs that go on; give --resume true too, or leave it out")
        self.path = Path(path)
        self.evaluator = evaluator
        self.resume = resume
        self.interval = interval
        self.resume_changed = resume_changed
        self.settings = settings
        self._made_with: Record | None = None
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
        engine.add_event_handler(Events.ITERATION_COMPLETED(once=1), self._set_aside)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Save the state if this epoch's turn has come."""
        last = engine.state.epoch == engine.state.max_epochs
        if engine.state.epoch % self.interval and not last:
            return
        parts = {name: part.state_dict() for name, part in parts_of(engine).items()}
        if broken := not_finite(parts):
            raise ValueError(
                f"{first_few(broken)} of this training run is not finite after epoch {engine.state.epoch}; nothing was "
                f"written, and {self.path} is what it was before. Lower the learning rate, or clip gradients with "
                "--train#trainer#clip_norm 1, and go on with --resume true --resume_changed true"
            )
        state = {
            "epoch": engine.state.epoch,
            "iteration": engine.state.iteration,
            "epoch_length": engine.state.epoch_length,
            "max_epochs": engine.state.max_epochs,
            "best_metric": float(self.evaluator.state.best_metric) if self.evaluator else None,
            "best_metric_epoch": self.evaluator.state.best_metric_epoch if self.evaluator else None,
            "random": gather(random_states()),
            **self._best_of_others(),
            **({} if self._made_with is None else {"made_with": self._made_with}),
            **parts,
        }
        if world_size() > 1 and (banks := find_banks(method_of(engine))):
            # the main process's are in the method's state already
            own = {} if is_main_process() else {name: on_cpu(bank.state_dict()) for name, bank in banks.items()}
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
            self._made_with = made_with(engine, method_of(engine), self.evaluator, self.settings)
        if self.resume:
            self._resume(engine)

    def _resume(self, engine: Any) -> None:
        aside = self._set_aside_before()
        found = f"; states of earlier training runs were set aside as {first_few(aside)}" if aside else ""
        state = read_tensor_file(self.path, f"nothing to resume from: start without --resume true{found}")
        self._check(engine, state)
        engine.state.resumed_with = self._compare(state)
        apply_state(engine, state, self.path, changed=self.resume_changed)
        engine.state.epoch, engine.state.iteration = state["epoch"], state["iteration"]
        if self.evaluator is not None:
            self.evaluator.state.best_metric = state["best_metric"]
            self.evaluator.state.best_metric_epoch = state["best_metric_epoch"]
            if hasattr(self.evaluator.state, "best_of"):
                self.evaluator.state.best_of = dict(state.get("best_of", {}))
        self._saved = state["epoch"], engine.state.max_epochs
        _log.info("resumed after epoch %d of %d from %s", state["epoch"], engine.state.max_epochs, self.path)

    def _best_of_others(self) -> dict[str, Any]:
        """The best metric and epoch of networks that are scored beside the first one."""
        if self.evaluator is None or not hasattr(self.evaluator.state, "best_of"):
            return {}
        return {"best_of": dict(self.evaluator.state.best_of)}

    def _compare(self, state: dict[str, Any]) -> list[str]:
        """Refuse other settings and data than the state was made with, or return what differs where that is wanted."""
        if self._made_with is None:
            return []
        if "made_with" not in state:
            _log.warning(
                "%s: made by a version of fewlabel that noted no settings and no data: whether they are still the same "
                "is not known",
                self.path,
            )
            return []
        if others := other_surroundings(state["made_with"], self._made_with):
            _log.warning("%s: made with %s: the last digits may differ", self.path, "; ".join(others))
        changes = differences(state["made_with"], self._made_with)
        if changes and not self.resume_changed:
            raise ValueError(
                f"{self.path}: made with other settings or data than this run has: {listed(changes)}; {_FIX}. To go on "
                "with what this run has, which the history then says, add --resume_changed true"
            )
        if changes:
            _log.warning("%s: going on with other settings or data: %s", self.path, listed(changes))
        return changes

    def _set_aside(self, engine: Engine) -> None:
        """Make room for a fresh run's states, now that it has come through a step, without losing an older run's."""
        if self.resume or not is_main_process() or not self.path.exists():
            return
        kept = self._set_aside_before()
        number = len(kept) + 1
        while (target := self.path.with_name(f"{self.path.name}.previous{number if number > 1 else ''}")).exists():
            number += 1
        os.rename(self.path, target)
        size = sum(path.stat().st_size for path in [*kept, target]) / 1e6
        _log.log(
            logging.WARNING if kept else logging.INFO,
            "started afresh; the state of an earlier training run was kept as %s (all that were kept: %.0f MB; delete "
            "those that you do not need)",
            target,
            size,
        )

    def _set_aside_before(self) -> list[Path]:
        return sorted(self.path.parent.glob(f"{glob.escape(self.path.name)}.previous*"))

    def _check(self, engine: Engine, state: Any) -> None:
        """Refuse a state of another training before anything of it is taken over."""
        if not isinstance(state, dict) or not state.keys() >= _COUNTERS:
            raise ValueError(f"{self.path}: holds no state of a training run; {_FIX}")
        if (saved := state.keys() - _COUNTERS - _OPTIONAL) != (parts := parts_of(engine).keys()):
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
