"""A teacher that is the moving average of its student."""

from __future__ import annotations

import torch
from ignite.engine import Engine, Events
from torch import nn


class ExponentialMovingAverage:
    r"""Move a teacher network towards its student after every step.

    .. math:: \theta' \leftarrow \alpha \theta' + (1 - \alpha) \theta, \quad \alpha = \min(1 - 1 / (t + 1), decay)

    at step t = 1, 2, ..., so that the first steps are a plain average. Buffers, batch normalization's statistics among
    them, are copied. A. Tarvainen and H. Valpola, Mean Teachers Are Better Role Models, NeurIPS 2017. The teacher
    belongs to the method, which saves it.

    Args:
        student: network that is trained.
        teacher: network of the same architecture; its gradients are switched off.
        decay: largest :math:`\alpha`, in [0, 1).

    Raises:
        ValueError: decay out of range, or networks whose parameters or buffers differ in name or shape.
    """

    def __init__(self, student: nn.Module, teacher: nn.Module, decay: float = 0.99) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay must lie in [0, 1), got {decay}")
        if _shapes(student) != _shapes(teacher):
            raise ValueError("student and teacher differ in architecture: build the teacher as a copy of the student")
        self.student, self.teacher, self.decay = student, teacher.requires_grad_(False), decay

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    @torch.no_grad()
    def __call__(self, engine: Engine) -> None:
        """Take one step."""
        alpha = min(1 - 1 / (engine.state.iteration + 1), self.decay)
        for old, new in zip(self.teacher.parameters(), self.student.parameters(), strict=True):
            old.lerp_(new, 1 - alpha)
        for buffer, newest in zip(self.teacher.buffers(), self.student.buffers(), strict=True):
            buffer.copy_(newest)


def _shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in [*network.named_parameters(), *network.named_buffers()]}
