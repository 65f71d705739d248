from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from fewlabel.handlers import ExponentialMovingAverage


def network(value: float) -> nn.Module:
    """One weight, and batch normalization for the sake of its buffers."""
    result = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    nn.init.constant_(result[0].weight, value)
    return result


def engine(iteration: int) -> SimpleNamespace:
    return SimpleNamespace(state=SimpleNamespace(iteration=iteration))


def test_the_teacher_follows_the_closed_form() -> None:
    student, teacher = network(0.0), network(8.0)
    average = ExponentialMovingAverage(student, teacher, decay=0.75)
    values, students = [], [float(v) for v in range(1, 9)]
    for step, value in enumerate(students, start=1):
        nn.init.constant_(student[0].weight, value)
        average(engine(step))
        values.append(teacher[0].weight.item())
    # alpha = min(1 - 1 / (t + 1), 0.75) = 1/2, 2/3, 3/4, 3/4, ...: a plain mean of start and students until t = 3
    assert values[0] == pytest.approx((8 + 1) / 2)
    assert values[1] == pytest.approx((8 + 1 + 2) / 3)
    assert values[2] == pytest.approx((8 + 1 + 2 + 3) / 4)
    expected = 0.75**5 * values[2] + sum(0.25 * 0.75 ** (8 - t) * t for t in range(4, 9))
    assert values[-1] == pytest.approx(expected)


def test_buffers_are_copied_whole_numbers_among_them() -> None:
    student, teacher = network(0.0), network(0.0)
    student(torch.tensor([[1.0], [3.0]]) + 4)
    ExponentialMovingAverage(student, teacher)(engine(1000))
    assert teacher[1].num_batches_tracked.item() == 1
    assert torch.equal(teacher[1].running_mean, student[1].running_mean)
    assert torch.equal(teacher[1].running_var, student[1].running_var)


def test_the_student_stays_and_the_teacher_takes_no_gradient() -> None:
    student, teacher = network(1.0), network(2.0)
    average = ExponentialMovingAverage(student, teacher)
    before = copy.deepcopy(student.state_dict())
    average(engine(1))
    assert all(torch.equal(before[name], value) for name, value in student.state_dict().items())
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert all(parameter.requires_grad for parameter in student.parameters())


def test_without_decay_the_teacher_is_the_student() -> None:
    student, teacher = network(3.0), network(-1.0)
    ExponentialMovingAverage(student, teacher, decay=0.0)(engine(7))
    assert teacher[0].weight.item() == 3.0


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_a_decay_out_of_range_is_an_error(decay: float) -> None:
    with pytest.raises(ValueError, match=rf"decay must lie in \[0, 1\), got {decay}"):
        ExponentialMovingAverage(network(0.0), network(0.0), decay)


def test_another_architecture_is_an_error() -> None:
    with pytest.raises(ValueError, match="student and teacher differ in architecture"):
        ExponentialMovingAverage(network(0.0), nn.Linear(1, 1))
    # the same parameters, yet no running statistics to copy
    teacher = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1, track_running_stats=False))
    with pytest.raises(ValueError, match="student and teacher differ in architecture"):
        ExponentialMovingAverage(network(0.0), teacher)
