from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest
import torch
from ignite.engine import Engine

from fewlabel.handlers import CollapseAlarm

LABELS = {0: "background", 1: "right ventricle", 2: "myocardium"}


def rounds(
    alarm: CollapseAlarm, predictions: Sequence[Sequence[Sequence[int]]], reference: Sequence[int], one_hot: bool = True
) -> None:
    """Run a validation per entry of ``predictions``; each holds cases, each case the classes of its voxels."""

    def prepare(classes: Sequence[int]) -> torch.Tensor:
        values = torch.tensor(classes)
        return torch.nn.functional.one_hot(values, 3).T if one_hot else values[None].float()

    for cases in predictions:
        validation = Engine(lambda _, case: [{"pred": prepare(case), "label": prepare(reference)}])
        alarm.attach(validation)
        validation.run(cases)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


@pytest.mark.parametrize("one_hot", [True, False])
def test_a_class_is_named_once_it_was_missing_for_patience_rounds(
    caplog: pytest.LogCaptureFixture, one_hot: bool
) -> None:
    alarm = CollapseAlarm(LABELS, patience=3)
    without = [[0, 1, 1, 1], [1, 0, 0, 0]]
    rounds(alarm, [without] * 2, [0, 1, 1, 2], one_hot)
    assert warnings(caplog) == []
    assert alarm.missing == {"right ventricle": 0, "myocardium": 2}
    rounds(alarm, [without], [0, 1, 1, 2], one_hot)
    [warning] = warnings(caplog)
    assert warning.startswith("myocardium has not been predicted once on validation for 3 rounds")


def test_a_single_voxel_in_any_case_resets_the_count(caplog: pytest.LogCaptureFixture) -> None:
    alarm = CollapseAlarm(LABELS, patience=2)
    gone, back = [[0, 0, 0, 1], [0, 1, 1, 1]], [[0, 0, 0, 1], [0, 2, 0, 0]]
    rounds(alarm, [gone, back, gone], [0, 1, 1, 2])
    assert warnings(caplog) == []
    assert alarm.missing["myocardium"] == 1


def test_a_class_that_no_reference_holds_is_not_missed(caplog: pytest.LogCaptureFixture) -> None:
    alarm = CollapseAlarm(LABELS, patience=1)
    rounds(alarm, [[[0, 1, 1, 1]]] * 3, [0, 1, 1, 1])
    assert warnings(caplog) == []


def test_two_dead_classes_are_two_warnings(caplog: pytest.LogCaptureFixture) -> None:
    rounds(CollapseAlarm(LABELS, patience=1), [[[0, 0, 0, 0]]], [0, 1, 1, 2])
    assert [message.split(" has")[0] for message in warnings(caplog)] == ["right ventricle", "myocardium"]


@pytest.mark.parametrize(("foreground", "warned"), [(20, False), (21, True)])
def test_far_more_foreground_than_there_is_gives_a_warning(
    caplog: pytest.LogCaptureFixture, foreground: int, warned: bool
) -> None:
    reference = [1, 2] + [0] * 28  # two voxels: more than ten times as many is the limit
    rounds(CollapseAlarm(LABELS), [[[1] * (foreground - 1) + [2] + [0] * (30 - foreground)]], reference)
    assert [("times as many voxels foreground" in message) for message in warnings(caplog)] == [True] * warned


def test_labels_as_json_has_them_and_a_patience_below_one() -> None:
    assert CollapseAlarm({"0": "background", "1": "x"}).missing == {"x": 0}
    with pytest.raises(ValueError, match="patience must be at least 1, got 0"):
        CollapseAlarm(LABELS, patience=0)
