"""A teacher: the moving average of a student network."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn


class Averaged(nn.Module):
    r"""The exponential moving average of a network's weights, as a network that predicts without a gradient.

    .. math:: \theta' \leftarrow \alpha \theta' + (1 - \alpha) \theta, \quad \alpha = \min(1 - 1 / (t + 1), decay)

    at update t = 1, 2, ..., so that the first updates are a plain mean of the start and the students so far. It starts
    as a copy of the student, also of one that got its weights after the teacher was made, see :func:`begin_averaged`;
    buffers, batch normalization's statistics among them, are copied. A. Tarvainen and
    H. Valpola, "Mean teachers are better role models", NeurIPS 2017.

    As an attribute of a :class:`fewlabel.methods.base.Method` it is updated after each step of the trainer, saved with
    the method, and left out of the parameter groups. In a loop of your own call :func:`update_averaged`.

    Args:
        student: the network that is trained; it is not registered as a submodule, so it is saved once.
        decay: the largest :math:`\alpha`, in [0, 1).
        mode: "eval" keeps dropout off and batch normalization on its running statistics, whatever the method's mode;
            "train" keeps both in training mode, for methods whose teacher is to vary (uncertainty-aware mean teacher).

    Attributes:
        network: the averaged copy, for features and other parts that the student has.

    Raises:
        ValueError: decay is out of range, or the mode is unknown.

    >>> student = nn.Linear(1, 1, bias=False)
    >>> teacher = Averaged(student, decay=0.5)
    >>> _ = nn.init.constant_(student.weight, teacher.network.weight.item() + 1)
    >>> teacher.update()
    >>> round((student.weight - teacher.network.weight).item(), 6)
    0.5
    """

    updates: Tensor

    def __init__(self, student: nn.Module, decay: float = 0.99, mode: str = "eval") -> None:
        super().__init__()
        if not 0 <= decay < 1:
            raise ValueError(f"decay must be in [0, 1), got {decay}")
        if mode not in ("eval", "train"):
            raise ValueError(f'mode must be "eval" or "train", got {mode!r}')
        self.decay = decay
        self.mode = mode
        self._student = (student,)  # in a tuple, where PyTorch does not look for submodules
        self.network = copy.deepcopy(student).requires_grad_(False)
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.train()

    @torch.no_grad()
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the averaged network makes of its input, without a gradient."""
        return self.network(*args, **kwargs)

    def train(self, mode: bool = True) -> Averaged:
        """Stay in this teacher's own mode, whatever the mode of the module that holds it."""
        super().train(mode)
        self.network.train(self.mode == "train")
        return self

    def begin(self) -> None:
        """Become a copy of the student as it is now, unless the average has begun already."""
        if not int(self.updates):
            self.network.load_state_dict(self._student[0].state_dict())

    @torch.no_grad()
    def update(self) -> None:
        """Take one step towards the student."""
        self.updates += 1
        alpha = min(1 - 1 / (int(self.updates) + 1), self.decay)
        student = self._student[0]
        for old, new in zip(self.network.parameters(), student.parameters(), strict=True):
            old.lerp_(new.to(old.dtype), 1 - alpha)
        for buffer, newest in zip(self.network.buffers(), student.buffers(), strict=True):
            buffer.copy_(newest)


def begin_averaged(method: nn.Module) -> None:
    """Let all averaged teachers in a module that were never updated begin as copies of their students.

    For students that got other weights since the teachers were made: from a file, say.
    """
    for module in method.modules():
        if isinstance(module, Averaged):
            module.begin()


def update_averaged(method: nn.Module) -> None:
    """Update all averaged teachers in a module, after the optimizer's step."""
    for module in method.modules():
        if isinstance(module, Averaged):
            module.update()
