from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from fewlabel.networks import Averaged, begin_averaged


def network(value: float) -> nn.Sequential:
    """One weight, batch normalization for the sake of its buffers, and dropout for the sake of its mode."""
    result = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1), nn.Dropout(0.5))
    nn.init.constant_(result[0].weight, value)
    return result


def weight(teacher: Averaged) -> float:
    return float(teacher.network[0].weight)


def test_it_starts_as_a_copy_of_its_student() -> None:
    student = network(3.0)
    teacher = Averaged(student)
    assert weight(teacher) == 3.0
    nn.init.constant_(student[0].weight, 5.0)
    assert weight(teacher) == 3.0


def test_a_student_that_gets_other_weights_before_the_first_update_is_copied_again_and_later_no_more() -> None:
    student = network(3.0)
    method = nn.ModuleList([student, Averaged(student, decay=0.75)])
    nn.init.constant_(student[0].weight, 5.0)
    student[1].running_mean.fill_(0.25)
    begin_averaged(method)
    assert weight(method[1]) == 5.0
    assert method[1].network[1].running_mean.item() == 0.25
    method[1].update()
    nn.init.constant_(student[0].weight, 7.0)
    begin_averaged(method)
    assert weight(method[1]) == 5.0


def test_it_follows_the_closed_form() -> None:
    student = network(8.0)
    teacher = Averaged(student, decay=0.75)
    values = []
    for value in range(1, 9):
        nn.init.constant_(student[0].weight, float(value))
        teacher.update()
        values.append(weight(teacher))
    # alpha = min(1 - 1 / (t + 1), 0.75) = 1/2, 2/3, 3/4, 3/4, ...: a plain mean of start and students until t = 3
    assert values[0] == pytest.approx((8 + 1) / 2)
    assert values[1] == pytest.approx((8 + 1 + 2) / 3)
    assert values[2] == pytest.approx((8 + 1 + 2 + 3) / 4)
    expected = 0.75**5 * values[2] + sum(0.25 * 0.75 ** (8 - t) * t for t in range(4, 9))
    assert values[-1] == pytest.approx(expected)


def test_buffers_are_copied_whole_numbers_among_them() -> None:
    student = network(0.0)
    teacher = Averaged(student)
    student(torch.tensor([[1.0], [3.0]]) + 4)
    teacher.update()
    assert teacher.network[1].num_batches_tracked.item() == 1
    assert torch.equal(teacher.network[1].running_mean, student[1].running_mean)
    assert torch.equal(teacher.network[1].running_var, student[1].running_var)


def test_the_student_stays_and_the_teacher_takes_no_gradient() -> None:
    student = network(1.0)
    teacher = Averaged(student)
    before = copy.deepcopy(student.state_dict())
    teacher.update()
    assert all(torch.equal(before[name], value) for name, value in student.state_dict().items())
    assert all(parameter.requires_grad for parameter in student.parameters())
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert not teacher(torch.ones(2, 1, requires_grad=True)).requires_grad


def test_without_decay_it_is_its_student() -> None:
    student = network(3.0)
    teacher = Averaged(student, decay=0.0)
    nn.init.constant_(student[0].weight, -1.0)
    teacher.update()
    assert weight(teacher) == -1.0


def test_its_state_holds_the_average_and_the_number_of_updates_but_not_the_student() -> None:
    student = network(1.0)
    teacher = Averaged(student, decay=0.9)
    for value in (2.0, 3.0):
        nn.init.constant_(student[0].weight, value)
        teacher.update()
    assert {name.split(".")[0] for name in teacher.state_dict()} == {"network", "updates"}
    restored = Averaged(network(7.0), decay=0.9)
    restored.load_state_dict(teacher.state_dict())
    nn.init.constant_(restored._student[0][0].weight, 3.0)
    teacher.update()
    restored.update()
    assert weight(restored) == weight(teacher)


@pytest.mark.parametrize(("mode", "training"), [("eval", False), ("train", True)])
def test_it_keeps_its_own_mode_whatever_the_mode_of_its_owner(mode: str, training: bool) -> None:
    owner = nn.ModuleList([Averaged(network(0.0), mode=mode)])
    for switched in (owner.train(), owner.eval(), owner.train(False), owner.train(True)):
        assert [part.training for part in switched[0].network.modules()] == [training] * 4


def test_a_copy_of_teacher_and_student_follows_the_copied_student() -> None:
    owner = nn.Module()
    owner.student = network(1.0)
    owner.teacher = Averaged(owner.student, decay=0.0)
    twin = copy.deepcopy(owner)
    nn.init.constant_(twin.student[0].weight, 4.0)
    twin.teacher.update()
    assert weight(twin.teacher) == 4.0
    owner.teacher.update()
    assert weight(owner.teacher) == 1.0


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_a_decay_out_of_range_is_an_error(decay: float) -> None:
    with pytest.raises(ValueError, match=rf"decay must be in \[0, 1\), got {decay}"):
        Averaged(network(0.0), decay)


def test_an_unknown_mode_is_an_error() -> None:
    with pytest.raises(ValueError, match=r'mode must be "eval" or "train", got \'both\''):
        Averaged(network(0.0), mode="both")
