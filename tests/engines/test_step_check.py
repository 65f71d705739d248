from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from ignite.engine import Events
from torch import Tensor, nn

from fewlabel.engines import SemiSupervisedTrainer
from fewlabel.engines.step_check import gradient_size, require_finite_step


class BadGradient(torch.autograd.Function):
    """The identity, with a gradient of one's choice."""

    @staticmethod
    def forward(context: Any, value: Tensor, gradient: float) -> Tensor:
        context.gradient = gradient
        return value.clone()

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return torch.full_like(gradient, context.gradient), None


class Network(nn.Module):
    """Two parameters; from the second step on the gradient of b is what is asked for."""

    def __init__(self, gradient: float, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.a, self.b = (nn.Parameter(torch.ones(2, dtype=dtype)) for _ in range(2))
        self.gradient = gradient

    def forward(self, batch: Any, progress: float) -> dict[str, Tensor]:
        b = BadGradient.apply(self.b, self.gradient) if progress > 0 else self.b
        return {"first": (self.a**2).sum(), "second": (b**2).sum()}


def run(method: nn.Module, **settings: Any) -> SemiSupervisedTrainer:
    optimizer = torch.optim.AdamW(method.parameters(), lr=0.1)
    weights = settings.pop("weights", {"first": 1.0, "second": 1.0})
    engine = SemiSupervisedTrainer("cpu", 1, [{"labeled": None}] * 3, method, optimizer, weights, **settings)
    engine.before = []  # type: ignore[attr-defined]
    engine.optimizer = optimizer  # type: ignore[attr-defined]

    @engine.on(Events.ITERATION_COMPLETED)
    def look() -> None:
        engine.before.append(copy.deepcopy((method.state_dict(), optimizer.state_dict())))

    return engine


@pytest.mark.parametrize("clip_norm", [None, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_gradient_that_is_not_finite_stops_before_the_step_though_the_loss_is(
    bad: float, dtype: torch.dtype, clip_norm: float | None
) -> None:
    method = Network(bad, dtype)
    engine = run(method, clip_norm=clip_norm)
    with pytest.raises(ValueError, match=r"gradient of b is not finite in epoch 1, step 2, .*no weight was changed"):
        engine.run()
    [(parameters, state)] = engine.before
    assert all(torch.equal(value, parameters[name]) for name, value in method.state_dict().items())
    now = engine.optimizer.state_dict()["state"]
    assert all(torch.equal(now[i][key], state["state"][i][key]) for i in now for key in ("step", "exp_avg"))


def test_gradients_whose_squares_overflow_are_finite_and_pass() -> None:
    # the norm of (1e30, 1e30) is not a number of float32, but the step of AdamW is: its size is that of the rate
    method = _with_gradient(1e30)
    size, loss = gradient_size(method), torch.tensor(1.0)
    assert size.item() == math.inf
    require_finite_step(method, {"first": loss}, {"first": 1.0}, loss, size, "step 1")
    with pytest.raises(ValueError, match="gradient of all parameters together is not finite in step 1"):
        require_finite_step(method, {"first": loss}, {"first": 1.0}, loss, size, "step 1", clips=True)


def _with_gradient(value: float) -> nn.Module:
    method = Network(0.0)
    for parameter in method.parameters():
        parameter.grad = torch.full_like(parameter, value)
    return method


def test_a_loss_that_overflows_is_told_with_its_weights() -> None:
    # both terms are 2
    engine = run(Network(1.0), weights={"first": 1.0, "second": 3e38})
    with pytest.raises(ValueError, match=r"the loss is not finite in epoch 1, step 1, .*'second': 3e\+38"):
        engine.run()


def test_the_step_waits_for_the_device_once_however_many_parameters_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[str] = []
    for name in ("tolist", "item", "__bool__", "__float__", "cpu"):
        real = getattr(Tensor, name)
        monkeypatch.setattr(
            Tensor, name, lambda self, *a, _real=real, _name=name, **k: (waits.append(_name), _real(self, *a, **k))[1]
        )
    method = nn.ModuleList([nn.Linear(2, 2) for _ in range(20)])
    for parameter in method.parameters():
        parameter.grad = torch.ones_like(parameter)
    loss = torch.tensor(1.0)
    size = gradient_size(method)
    require_finite_step(method, {"first": loss, "second": loss}, {"first": 1.0, "second": 1.0}, loss, size, "step 1")
    assert waits == ["tolist"]


def test_parameters_without_a_gradient_are_passed_over() -> None:
    method = _with_gradient(2.0)
    method.a.grad = None  # type: ignore[union-attr]
    assert gradient_size(method).item() == pytest.approx(math.sqrt(2 * 2.0**2))
