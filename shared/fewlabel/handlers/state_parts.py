"""The parts of a training run that have a state, and how a saved state gets back into them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from fewlabel.finite import not_finite
from fewlabel.handlers.processes import rank
from fewlabel.handlers.random_states import restore_random_states
from fewlabel.listing import first_few
from fewlabel.sampling import find_banks

_FIX = "resume with the settings that the training was started with, or start afresh without --resume true"
# what of a schedule's state says how far it is; the rest are settings
_COUNTED = ("last_epoch", "_step_count", "_last_lr")


class Stateful(Protocol):
    """Something with a state to save."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state."""

    def load_state_dict(self, state: dict[str, Any]) -> Any:
        """Take the state over."""


def method_of(engine: Any) -> nn.Module:
    """Return a trainer's method, out of the wrapper of distributed training."""
    method: nn.Module = engine.method
    return method.module if isinstance(method, nn.parallel.DistributedDataParallel) else method


def parts_of(engine: Any) -> dict[str, Stateful]:
    """Return all that a trainer's state is made of, by name."""
    parts: dict[str, Stateful] = {"method": method_of(engine)}
    parts |= {f"optimizer{i}": optimizer for i, optimizer in enumerate(engine.optimizers)}
    parts |= {f"lr_scheduler{i}": scheduler for i, scheduler in enumerate(engine.lr_schedulers)}
    if hasattr(engine.data_loader, "state_dict"):
        parts["data"] = engine.data_loader
    return parts


def on_cpu(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a state with its tensors on the CPU."""
    return {name: value.cpu() if isinstance(value, torch.Tensor) else value for name, value in state.items()}


def apply_state(engine: Any, state: Mapping[str, Any], path: Path, changed: bool = False) -> None:
    """Put a saved state into the parts of a trainer, and random generators where they were.

    Args:
        engine: the trainer.
        state: what :class:`fewlabel.handlers.TrainingState` saved, of the same parts.
        path: its file, for messages.
        changed: let this run's settings win where a state carries some: learning rates and the other options of
            optimizers, schedules, and what the order of the data depends on.

    Raises:
        ValueError: a part does not fit, a schedule of the state ends before this run, or values are not finite.
    """
    parts = parts_of(engine)
    if broken := not_finite({name: state[name] for name in parts}):
        raise ValueError(f"{path}: {first_few(broken)} is not finite, so nothing can go on from it; start afresh")
    for name, part in parts.items():
        saved = state[name]
        try:
            if changed and isinstance(part, Optimizer):
                _load_optimizer(part, saved)
            elif changed and isinstance(part, LRScheduler):
                part.load_state_dict({**part.state_dict(), **{key: saved[key] for key in _COUNTED if key in saved}})
            else:
                part.load_state_dict(
                    {**part.state_dict(), "step": saved["step"]} if changed and name == "data" else saved
                )
        except (RuntimeError, KeyError, IndexError, ValueError) as error:
            reason = " ".join(str(error).split())[:300]
            raise ValueError(f"{path}: its {name} does not fit this training run ({reason}); {_FIX}") from error
        if isinstance(part, LRScheduler):
            _require_length(part, engine.state.max_epochs * engine.state.epoch_length, path)
    for name, bank in find_banks(method_of(engine)).items() if rank() > 0 else ():
        bank.load_state_dict(state["banks"][rank()][name])
    restore_random_states(state["random"][rank()])


def _load_optimizer(optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Load what an optimizer has gathered, and keep its options; rates are as far along their schedule as they were."""
    own = [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
    optimizer.load_state_dict(state)
    for group, options in zip(optimizer.param_groups, own, strict=True):
        start, rate = group.get("initial_lr", group["lr"]), group["lr"]
        group.update(options)
        now = options.get("initial_lr", options["lr"])
        group["lr"] = rate if now == start else now * rate / start if start else now


def _require_length(scheduler: LRScheduler, steps: int, path: Path) -> None:
    # PyTorch's own schedules keep the length that they were made with; ours follow the run's
    for key in ("total_steps", "T_max"):
        length = getattr(scheduler, key, None)
        if isinstance(length, int) and length < steps:
            raise ValueError(
                f"{path}: its {type(scheduler).__name__} ends after {length} steps, this run has {steps}: keep the "
                "number of epochs, or take this run's schedule with --resume_changed true"
            )
