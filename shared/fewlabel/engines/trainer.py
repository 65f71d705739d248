"""One Ignite engine for every semi-supervised method."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Sized
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any

import torch
from ignite.engine import Events
from monai.engines import Trainer
from monai.utils import ensure_tuple
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from fewlabel.conventions.precision import use_bfloat16
from fewlabel.engines.loss_weights import LossWeightSchedule, as_weights
from fewlabel.engines.step_check import gradient_size, require_finite_step
from fewlabel.folder_lock import folders_held
from fewlabel.handlers.processes import is_main_process
from fewlabel.networks import begin_averaged, update_averaged
from fewlabel.stopping import when_stopped


class SemiSupervisedTrainer(Trainer):
    """Train a method: sum its weighted loss terms, and step its optimizers and schedules.

    The engine knows no method: it moves the batch, asks the method for named terms, and stops before the optimizer's
    step, with the name of the term or of the parameters, when a term or a gradient is not finite.
    ``engine.state.output[0]`` holds ``loss`` and ``terms`` of the last step as tensors
    (in a list, as all of MONAI's trainers have it: its handlers read the loss there),
    ``engine.state.weights`` the weights that were in force. Averaged teachers
    (:class:`fewlabel.networks.Averaged`) begin as copies of what the students are when all handlers have
    started, and are updated after each step; saving, pictures and reports are handlers.

    Args:
        device: where to train.
        max_epochs: epochs in all.
        train_data_loader: yields ``{"labeled": ..., "unlabeled": ...}``.
        method: a :class:`fewlabel.methods.base.Method`, or one wrapped for distributed training.
        optimizer: one optimizer or several.
        weights: by term, a number or a function of the training's progress in [0, 1] such as
            :class:`fewlabel.engines.GaussianRamp`. Must name exactly the method's terms.
        lr_scheduler: one or several, stepped after every step; None for constant rates.
        epoch_length: steps per epoch; the loader's length by default.
        amp: automatic mixed precision in bfloat16, "auto", "cuda", "bfloat16" or "off", see
            :func:`fewlabel.conventions.precision.use_bfloat16`. True and False are the latter two, None is "cuda".
        clip_norm: largest norm of the gradient over all parameters; None for no clipping.
        train_handlers: Ignite handlers, attached in this order.

    Raises:
        ValueError: a setting is out of range; while running, terms and weights differ in name, or a weight, a term or a
            gradient is not finite.
    """

    def __init__(
        self,
        device: torch.device | str,
        max_epochs: int,
        train_data_loader: Iterable[Any],
        method: nn.Module,
        optimizer: Optimizer | Sequence[Optimizer],
        weights: Mapping[str, float | LossWeightSchedule],
        lr_scheduler: LRScheduler | Sequence[LRScheduler] | None = None,
        epoch_length: int | None = None,
        amp: bool | str | None = None,
        clip_norm: float | None = None,
        train_handlers: Sequence[Any] | None = None,
    ) -> None:
        if max_epochs < 1:
            raise ValueError(f"max_epochs must be at least 1, got {max_epochs}")
        if clip_norm is not None and clip_norm <= 0:
            raise ValueError(f"clip_norm must be positive, or None for no clipping, got {clip_norm}")
        if epoch_length is None and isinstance(train_data_loader, Sized):
            epoch_length = len(train_data_loader)
        if epoch_length is None or epoch_length < 1:
            raise ValueError(
                f"an epoch needs at least one step, got {epoch_length}; give epoch_length, the loader has no length"
            )
        # set before the base class attaches the handlers, which read them
        self.method = method
        self.optimizers: tuple[Optimizer, ...] = ensure_tuple(optimizer)
        self.lr_schedulers: tuple[LRScheduler, ...] = () if lr_scheduler is None else ensure_tuple(lr_scheduler)
        self.weights = as_weights(weights)
        self.clip_norm = clip_norm
        super().__init__(
            device=device,
            max_epochs=max_epochs,
            data_loader=train_data_loader,
            epoch_length=epoch_length,
            non_blocking=True,
            handlers=train_handlers,
            decollate=False,
            amp=False,  # the base class's AMP is float16 with a gradient scaler
        )
        self.use_bfloat16 = use_bfloat16(amp, self.state.device)
        self.state.weights = {}
        # after the handlers, one of which may load weights into a student
        self.add_event_handler(Events.STARTED, lambda: begin_averaged(self.method))
        self._handlers = tuple(train_handlers or ())

    def run(self) -> None:
        """Train. The folders that handlers write into, which they name as ``folder``, are held meanwhile.

        Raises:
            FolderInUseError: another run works in one of them.
        """
        folders = {handler.folder for handler in self._handlers if hasattr(handler, "folder")}
        steps = [handler.next_step for handler in self._handlers if hasattr(handler, "next_step")]
        with ExitStack() as stack:
            stack.enter_context(folders_held(*sorted(folders if is_main_process() else ())))
            for next_step in steps:
                stack.enter_context(when_stopped(next_step))
            super().run()

    @property
    def progress(self) -> float:
        """Share of the training that was done when the current step began, in [0, 1]."""
        steps = self.state.max_epochs * self.state.epoch_length
        return float(min(max(self.state.iteration - 1, 0) / steps, 1.0))

    def _iteration(self, engine: SemiSupervisedTrainer, batchdata: Mapping[str, Any]) -> list[dict[str, Any]]:
        batch = _move(batchdata, self.state.device)
        progress = self.progress
        self.method.train()
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        with self._precision():
            terms: dict[str, Tensor] = self.method(batch, progress)
        loss = self._total(terms, progress)
        loss.backward()  # type: ignore[no-untyped-call]
        where = f"epoch {self.state.epoch}, step {self.state.iteration}"
        size = gradient_size(self.method)
        clips = self.clip_norm is not None
        require_finite_step(self.method, terms, self.state.weights, loss, size, where, clips)
        if self.clip_norm is not None:
            nn.utils.clip_grads_with_norm_(self.method.parameters(), self.clip_norm, size)
        for optimizer in self.optimizers:
            optimizer.step()
        update_averaged(self.method)
        for scheduler in self.lr_schedulers:
            scheduler.step()
        return [{"loss": loss.detach(), "terms": {name: term.detach() for name, term in terms.items()}}]

    def _precision(self) -> AbstractContextManager[Any]:
        device_type = self.state.device.type
        return torch.autocast(device_type, dtype=torch.bfloat16) if self.use_bfloat16 else nullcontext()

    def _total(self, terms: Mapping[str, Tensor], progress: float) -> Tensor:
        if terms.keys() != self.weights.keys():
            raise ValueError(
                f"the method has the loss terms {sorted(terms)}, but weights are given for {sorted(self.weights)}: "
                "give each term one weight (0 switches it off)"
            )
        self.state.weights = {name: self.weights[name](progress) for name in terms}
        values = torch.stack([term.float() for term in terms.values()])
        return (values * values.new_tensor(list(self.state.weights.values()))).sum()


def _move(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.to(device, non_blocking=True)
    if isinstance(value, Mapping):
        return {key: _move(item, device) for key, item in value.items()}
    return value
