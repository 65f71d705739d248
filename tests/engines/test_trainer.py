from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from ignite.engine import Events
from torch import Tensor, nn

from fewlabel.engines import GaussianRamp, PolynomialWarmup, SemiSupervisedTrainer
from fewlabel.networks import Averaged


class TwoNumbers(nn.Module):
    """Two parameters, a and b; the terms are (a - image)^2 and (b - image)^2."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(torch.tensor(1.0)), nn.Parameter(torch.tensor(-2.0))
        self.seen: list[float] = []
        self.modes: list[bool] = []

    def forward(self, batch: Any, progress: float) -> dict[str, Tensor]:
        self.seen.append(progress)
        self.modes.append(self.training)
        image = batch["labeled"]["image"].mean()
        return {"first": (self.a - image) ** 2, "second": (self.b - image) ** 2}


def batches(*values: float) -> list[dict[str, Any]]:
    return [{"labeled": {"image": torch.full((1, 1, 2, 2), value)}, "unlabeled": None} for value in values]


def trainer(method: nn.Module | None = None, **settings: Any) -> SemiSupervisedTrainer:
    method = TwoNumbers() if method is None else method
    defaults: dict[str, Any] = {
        "device": "cpu",
        "max_epochs": 1,
        "train_data_loader": batches(0.5, 0.25),
        "optimizer": torch.optim.SGD(method.parameters(), lr=0.1),
        "weights": {"first": 1.0, "second": 1.0},
    }
    return SemiSupervisedTrainer(method=method, **{**defaults, **settings})


def after_each_step(engine: SemiSupervisedTrainer, look: Any) -> list[Any]:
    seen: list[Any] = []
    engine.add_event_handler(Events.ITERATION_COMPLETED, lambda: seen.append(look()))
    return seen


def test_the_loss_is_the_sum_of_weight_times_term_and_so_are_the_gradients() -> None:
    method = TwoNumbers()
    engine = trainer(method, train_data_loader=batches(0.5), weights={"first": 3.0, "second": 0.25})
    engine.run()
    # terms (1 - 0.5)^2 and (-2 - 0.5)^2
    assert engine.state.output[0]["loss"].item() == pytest.approx(3 * 0.25 + 0.25 * 6.25)
    assert {k: v.item() for k, v in engine.state.output[0]["terms"].items()} == {"first": 0.25, "second": 6.25}
    # one step of plain gradient descent: a - 0.1 * 3 * 2 (a - 0.5) and b - 0.1 * 0.25 * 2 (b - 0.5)
    assert method.a.item() == pytest.approx(1 - 0.1 * 3 * 2 * 0.5)
    assert method.b.item() == pytest.approx(-2 + 0.1 * 0.25 * 2 * 2.5)
    assert not engine.state.output[0]["loss"].requires_grad


def test_weights_and_method_follow_the_share_of_training_done_before_the_step() -> None:
    method, ramp = TwoNumbers(), GaussianRamp(peak=0.1)
    engine = trainer(method, max_epochs=2, weights={"first": 1.0, "second": ramp})
    weights = after_each_step(engine, lambda: dict(engine.state.weights))
    engine.run()
    assert method.seen == [0.0, 0.25, 0.5, 0.75]
    assert [step["second"] for step in weights] == [ramp(0.0), ramp(0.25), ramp(0.5), ramp(0.75)]
    assert [step["first"] for step in weights] == [1.0] * 4


def test_a_weight_of_zero_switches_a_term_off() -> None:
    method = TwoNumbers()
    trainer(method, weights={"first": 0, "second": 1.0}).run()
    assert method.a.item() == 1.0
    assert method.b.item() != -2.0


@pytest.mark.parametrize("weights", [{"first": 1.0}, {"first": 1.0, "second": 1.0, "third": 1.0}, {}])
def test_terms_and_weights_that_differ_in_name_are_an_error_that_lists_both(weights: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=rf"terms \['first', 'second'\], but weights are given for \{sorted(weights)}"):
        trainer(weights=weights).run()


@pytest.mark.parametrize(("bad", "weight"), [(math.nan, 1.0), (math.inf, 1.0), (math.nan, 0.0)])
def test_a_term_that_is_not_finite_stops_the_training_by_name_and_changes_nothing(bad: float, weight: float) -> None:
    class Breaks(TwoNumbers):
        def forward(self, batch: Any, progress: float) -> dict[str, Tensor]:
            terms = super().forward(batch, progress)
            return {**terms, "second": terms["second"] * bad} if progress > 0 else terms

    method = Breaks()
    optimizer = torch.optim.AdamW(method.parameters(), lr=0.1)
    engine = trainer(method, optimizer=optimizer, weights={"first": 1.0, "second": weight})
    before: list[Any] = after_each_step(engine, lambda: copy.deepcopy((method.state_dict(), optimizer.state_dict())))
    with pytest.raises(ValueError, match=r"loss term second is not finite in epoch 1, step 2"):
        engine.run()
    [(parameters, state)] = before
    assert all(torch.equal(value, parameters[name]) for name, value in method.state_dict().items())
    now = optimizer.state_dict()["state"]
    assert now.keys() == state["state"].keys() == {0, 1}
    assert all(torch.equal(now[i][key], state["state"][i][key]) for i in now for key in ("step", "exp_avg"))


def test_every_term_that_is_not_finite_is_named() -> None:
    with pytest.raises(ValueError, match="loss term first, second is not finite in epoch 1, step 1"):
        trainer(train_data_loader=batches(math.nan)).run()


def test_each_optimizer_changes_only_its_own_parameters() -> None:
    method = TwoNumbers()
    optimizers = [torch.optim.SGD([method.a], lr=0.1), torch.optim.SGD([method.b], lr=0.0)]
    trainer(method, optimizer=optimizers).run()
    assert method.a.item() != 1.0
    assert method.b.item() == -2.0
    method = TwoNumbers()
    trainer(method, optimizer=torch.optim.SGD([method.b], lr=0.1)).run()
    assert method.a.item() == 1.0
    assert method.b.item() != -2.0


def test_gradients_do_not_add_up_over_steps() -> None:
    method = TwoNumbers()
    trainer(method, train_data_loader=batches(0.0, 0.0)).run()
    assert method.a.item() == pytest.approx(0.8 * 0.8)  # a <- a - 0.1 * 2 a, twice


def test_schedules_are_stepped_after_every_step_each_on_its_own() -> None:
    method = TwoNumbers()
    optimizers = [torch.optim.SGD([method.a], lr=1e-2), torch.optim.SGD([method.b], lr=1e-3)]
    schedules = [PolynomialWarmup(optimizers[0], 4, power=1.0), PolynomialWarmup(optimizers[1], 4, power=0.0)]
    engine = trainer(method, max_epochs=2, optimizer=optimizers, lr_scheduler=schedules)
    rates = after_each_step(engine, lambda: [optimizer.param_groups[0]["lr"] for optimizer in optimizers])
    engine.run()
    assert [first for first, _ in rates] == pytest.approx([0.0075, 0.005, 0.0025, 0.0])
    assert [second for _, second in rates] == pytest.approx([1e-3] * 4)


def test_gradients_are_clipped_by_their_norm_over_all_parameters() -> None:
    free, clipped, far = TwoNumbers(), TwoNumbers(), TwoNumbers()
    for method, clip_norm in ((free, None), (clipped, 0.5), (far, 100.0)):
        trainer(method, train_data_loader=batches(0.5), clip_norm=clip_norm).run()
    # gradients 2 (1 - 0.5) = 1 and 2 (-2 - 0.5) = -5, of norm sqrt(26)
    assert free.a.item() == pytest.approx(1 - 0.1 * 1)
    assert clipped.a.item() == pytest.approx(1 - 0.1 * 1 * 0.5 / math.sqrt(26))
    assert clipped.b.item() == pytest.approx(-2 + 0.1 * 5 * 0.5 / math.sqrt(26))
    assert (far.a.item(), far.b.item()) == (free.a.item(), free.b.item())


class Product(nn.Module):
    """One linear layer, whose result shows the precision it was computed in."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1)
        self.dtypes: list[torch.dtype] = []

    def forward(self, batch: Any, progress: float) -> dict[str, Tensor]:
        result = self.layer(batch["labeled"]["image"])
        self.dtypes.append(result.dtype)
        return {"first": result.square().mean()}


@pytest.mark.parametrize(
    ("amp", "dtype"), [(None, torch.float32), (False, torch.float32), (True, torch.bfloat16)], ids=str
)
def test_mixed_precision_is_bfloat16_and_off_by_default_on_the_cpu(amp: bool | None, dtype: torch.dtype) -> None:
    method = Product()
    engine = trainer(method, amp=amp, weights={"first": 1.0})
    engine.run()
    assert method.dtypes == [dtype] * 2
    assert engine.state.output[0]["loss"].dtype == torch.float32
    assert method.layer.weight.dtype == method.layer.weight.grad.dtype == torch.float32
    assert not torch.is_autocast_enabled("cpu")


def test_training_mode_is_restored_after_a_validation_switched_it_off() -> None:
    method = TwoNumbers()
    engine = trainer(method, max_epochs=2)
    engine.add_event_handler(Events.EPOCH_COMPLETED, lambda: method.eval())
    engine.run()
    assert method.modes == [True] * 4


def test_nested_batches_are_moved_and_what_is_no_tensor_stays() -> None:
    class Looks(TwoNumbers):
        def forward(self, batch: Any, progress: float) -> dict[str, Tensor]:
            assert batch["labeled"]["image"].device.type == "meta"
            assert batch["labeled"]["case"] == ["x"]
            assert batch["unlabeled"] is None
            raise KeyboardInterrupt

    batch = {"labeled": {"image": torch.zeros(1), "case": ["x"]}, "unlabeled": None}
    with pytest.raises(KeyboardInterrupt):
        trainer(Looks(), device="meta", train_data_loader=[batch]).run()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_epochs": 0}, "max_epochs must be at least 1, got 0"),
        ({"clip_norm": 0.0}, "clip_norm must be positive, or None for no clipping, got 0.0"),
        ({"train_data_loader": []}, "an epoch needs at least one step, got 0"),
        ({"train_data_loader": iter([])}, "an epoch needs at least one step, got None"),
        ({"weights": {"first": "1"}}, "weight of 'first': expected a number or a ramp .* got '1'"),
        ({"weights": {"first": True}}, "weight of 'first': expected a number or a ramp .* got True"),
    ],
)
def test_settings_out_of_range_are_errors(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        trainer(**settings)


def test_an_endless_loader_needs_only_its_epoch_length() -> None:
    def endless() -> Iterator[Any]:
        while True:
            yield from batches(0.5)

    engine = trainer(train_data_loader=endless(), epoch_length=3, max_epochs=2)
    engine.run()
    assert engine.state.iteration == 6


class Taught(nn.Module):
    """One student and its averaged teacher; the only term pulls the student up by one."""

    def __init__(self) -> None:
        super().__init__()
        self.student = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.student.weight)
        self.teacher = Averaged(self.student, decay=0.5)
        self.teacher_training: list[bool] = []

    def forward(self, batch: Any, progress: float) -> dict[str, Tensor]:
        self.teacher_training.append(self.teacher.network.training)
        return {"first": -self.student.weight.sum()}


def test_an_averaged_teacher_is_updated_after_each_step_and_stays_in_evaluation_mode() -> None:
    method = Taught()
    engine = trainer(
        method, optimizer=torch.optim.SGD(method.student.parameters(), lr=1.0), weights={"first": 1.0}, max_epochs=2
    )
    teachers = after_each_step(engine, lambda: method.teacher.network.weight.item())
    engine.run()
    # students 1, 2, 3, 4; half of the student, half of the teacher before: 1/2, 5/4, 17/8, 49/16
    assert teachers == [0.5, 1.25, 2.125, 3.0625]
    assert method.teacher_training == [False] * 4
