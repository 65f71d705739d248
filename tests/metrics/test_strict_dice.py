from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from fewlabel.metrics import StrictDice, case_scores
from fewlabel.reports import summarize

LABELS = {0: "background", 1: "one", 2: "two", 3: "three"}


def one_hot(classes: Tensor) -> Tensor:
    """(K, *spatial), with 0 everywhere for the value 255."""
    return torch.stack([classes == value for value in LABELS]).float()


def literal_mean(predictions: list[Tensor], references: list[Tensor]) -> float:
    """Volume by volume, class by class, voxel by voxel."""
    if not any(value in LABELS and value != 0 for r in references for value in r.flatten().tolist()):
        return math.nan
    of_volumes = []
    for p, r in zip(predictions, references, strict=True):
        voxels = [(a, b) for a, b in zip(p.flatten().tolist(), r.flatten().tolist(), strict=True) if b in LABELS]
        of_classes = []
        for value in (1, 2, 3):
            size = sum(a == value for a, _ in voxels) + sum(b == value for _, b in voxels)
            if size:
                of_classes.append(2 * sum(a == b == value for a, b in voxels) / size)
        if of_classes:
            of_volumes.append(sum(of_classes) / len(of_classes))
    return sum(of_volumes) / len(of_volumes) if of_volumes else math.nan


def reported_mean(predictions: list[Tensor], references: list[Tensor]) -> float:
    """The row "mean" of the report under the strict protocol."""
    rows = []
    for number, (p, r) in enumerate(zip(predictions, references, strict=True)):
        kept = r <= 3
        scored = case_scores(torch.where(kept, p, 0), torch.where(kept, r, 0), LABELS, spacing=(1.0, 2.0, 3.0))
        rows += [{"checkpoint": "best", "case": str(number), "volume": str(number), **row} for row in scored]
    lines = summarize(rows)
    return next(line["dice_mean"] for line in lines if (line["class"], line["protocol"]) == ("mean", "strict"))


def volumes(random: np.random.Generator, number: int) -> tuple[list[Tensor], list[Tensor]]:
    """Random label maps; each lacks some classes, one is ignored in part, and their grids differ."""
    predictions, references = [], []
    for _ in range(number):
        shape = tuple(random.integers(2, 5, size=3))
        pair = []
        for _ in range(2):
            present = [0, *random.permutation([1, 2, 3])[: random.integers(0, 4)]]
            pair.append(torch.tensor(random.choice(present, size=shape)))
        if random.random() < 0.4:
            pair[1][torch.tensor(random.random(shape) < 0.3)] = 255
        predictions.append(pair[0])
        references.append(pair[1])
    return predictions, references


@pytest.mark.parametrize("seed", range(40))
def test_what_chooses_the_best_weights_is_what_the_report_gives(seed: int) -> None:
    random = np.random.default_rng(seed)
    predictions, references = volumes(random, int(random.integers(1, 6)))
    references[0][0, 0, 0] = 2  # something to measure
    metric = StrictDice()
    for p, r in zip(predictions, references, strict=True):
        metric([one_hot(p) * (r <= 3)], [one_hot(r)])

    assert metric.aggregate() == pytest.approx(literal_mean(predictions, references), rel=1e-12)
    assert metric.aggregate() == pytest.approx(reported_mean(predictions, references), rel=1e-12)


@pytest.mark.parametrize(
    ("prediction", "reference", "mean"),
    [
        ([1, 2, 0], [1, 0, 0], 0.5),  # class 2 is not there: predicting it costs
        ([1, 0, 0], [1, 0, 0], 1.0),  # and leaving it out does not
        ([1, 0, 0], [1, 2, 0], 0.5),
        ([0, 0, 0], [0, 3, 0], 0.0),
        ([1, 2, 3], [0, 0, 0], math.nan),
        ([0, 0, 0], [0, 0, 0], math.nan),
        ([1, 1, 1], [0, 255, 0], math.nan),
    ],
)
def test_absent_classes_count_where_somebody_sees_them(
    prediction: list[int], reference: list[int], mean: float
) -> None:
    p, r = torch.tensor(prediction), torch.tensor(reference)
    metric = StrictDice()
    metric([one_hot(p) * (r <= 3)], [one_hot(r)])
    assert metric.aggregate() == pytest.approx(mean, nan_ok=True)


def test_a_volume_without_any_class_counts_only_if_one_is_predicted() -> None:
    good = torch.tensor([1, 0])
    for empty_prediction, mean in ((torch.tensor([0, 0]), 1.0), (torch.tensor([0, 2]), 0.5)):
        metric = StrictDice()
        metric([one_hot(good), one_hot(empty_prediction)], [one_hot(good), one_hot(torch.tensor([0, 0]))])
        assert metric.aggregate() == mean


def test_a_reset_forgets_and_no_case_is_nothing_to_measure() -> None:
    metric = StrictDice()
    assert math.isnan(metric.aggregate())
    metric([one_hot(torch.tensor([1, 0]))], [one_hot(torch.tensor([1, 0]))])
    metric.reset()
    assert math.isnan(metric.aggregate())


def test_a_reference_of_another_shape_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"shape \(1, 4, 2\), got \(1, 4, 3\)"):
        StrictDice()([one_hot(torch.zeros(2))], [one_hot(torch.zeros(3))])
