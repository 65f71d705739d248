from __future__ import annotations

import pytest
import torch
from torch import nn

from fewlabel.engines import PolynomialWarmup


def optimizer(**rates: float) -> torch.optim.Optimizer:
    groups = [{"params": [nn.Parameter(torch.zeros(1))], "lr": rate, "name": name} for name, rate in rates.items()]
    return torch.optim.SGD(groups)


def rates(schedule: PolynomialWarmup, steps: int) -> list[list[float]]:
    """Return the rates that are in force at steps 0, 1, ..."""
    result = []
    for _ in range(steps):
        result.append([group["lr"] for group in schedule.optimizer.param_groups])
        schedule.optimizer.step()
        schedule.step()
    return result


def test_each_group_follows_the_closed_form_with_its_own_warmup() -> None:
    schedule = PolynomialWarmup(optimizer(cnn=0.2, transformer=0.01), 40, power=0.9, warmup={"transformer": 0.25})
    for t, (cnn, transformer) in enumerate(rates(schedule, 41)):
        assert cnn == pytest.approx(0.2 * (1 - t / 40) ** 0.9)
        warm = (t + 1) / 10 if t < 10 else (1 - (t - 10) / 30) ** 0.9
        assert transformer == pytest.approx(0.01 * warm)


def test_by_hand_four_steps_of_warmup_and_a_linear_decay() -> None:
    schedule = PolynomialWarmup(optimizer(all=1.0), 8, power=1.0, warmup={"all": 0.5})
    assert [rate for [rate] in rates(schedule, 9)] == pytest.approx([0.25, 0.5, 0.75, 1, 1, 0.75, 0.5, 0.25, 0])


@pytest.mark.parametrize(("total", "share"), [(1, 0.6), (10, 0.96), (3, 0.99), (1, 0.0)])
def test_a_warmup_that_rounds_to_the_whole_training_still_ends(total: int, share: float) -> None:
    values = [rate for [rate] in rates(PolynomialWarmup(optimizer(all=1.0), total, warmup={"all": share}), total + 3)]
    assert values[:total] == sorted(values[:total])
    assert values[-1] == 0.0


def test_optimizers_without_named_groups_decay_from_the_first_step() -> None:
    plain = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    assert rates(PolynomialWarmup(plain, 2, power=1.0), 3) == [[1.0], [0.5], [0.0]]


@pytest.mark.parametrize(
    ("total", "warmup", "message"),
    [
        (10, {"cnn": 0.1, "head": 0.1}, r"warmup names \['head'\], but the groups are \['cnn'\]"),
        (0, {}, r"need total_steps >= 1 .* got 0"),
        (10, {"cnn": 1.0}, r"shares in \[0, 1\), got 10 and {'cnn': 1.0}"),
        (10, {"cnn": -0.1}, r"shares in \[0, 1\)"),
    ],
)
def test_unknown_groups_and_values_out_of_range_are_errors(total: int, warmup: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PolynomialWarmup(optimizer(cnn=0.1), total, warmup=warmup)
