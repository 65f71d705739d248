from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fewlabel.losses import consistency_distance


def pair(classes: int, spatial: tuple[int, ...] = (3, 2)) -> tuple[Tensor, Tensor]:
    drawn = torch.randn(2, 2, classes, *spatial, generator=torch.Generator().manual_seed(classes), dtype=torch.float64)
    return drawn[0], drawn[1].softmax(dim=1)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("divisor", [None, 2])
def test_it_equals_the_literal_sum_over_voxels_that_count(classes: int, divisor: int | None) -> None:
    logits, target = pair(classes)
    mask = (torch.arange(12).view(2, 1, 3, 2) % 3 > 0).double()
    total, count = 0.0, 0
    for image, row, column in torch.nonzero(mask[:, 0]).tolist():
        own = logits[image, :, row, column].softmax(dim=0)
        total += sum(float(own[k] - target[image, k, row, column]) ** 2 for k in range(classes))
        count += 1
    expected = total / ((divisor or classes) * count)
    assert consistency_distance(logits, target, mask, divisor).item() == pytest.approx(expected)
    assert mask.sum().item() == count


def test_with_all_voxels_it_is_the_mean_and_without_any_it_is_zero_with_a_graph() -> None:
    logits, target = pair(3)
    everything = consistency_distance(logits, target, torch.ones(2, 1, 3, 2))
    torch.testing.assert_close(everything, consistency_distance(logits, target))
    torch.testing.assert_close(consistency_distance(logits, target, divisor=2), everything * 3 / 2)
    logits.requires_grad_(True)
    nothing = consistency_distance(logits, target, torch.zeros(2, 1, 3, 2))
    nothing.backward()
    assert nothing.item() == 0
    assert logits.grad is not None


def test_agreement_is_zero_and_sure_contradiction_the_largest() -> None:
    logits = torch.tensor([[[100.0], [-100.0]]])
    assert consistency_distance(logits, logits.softmax(dim=1)).item() == 0
    assert consistency_distance(logits, (-logits).softmax(dim=1)).item() == pytest.approx(1.0)


def test_other_shapes_are_an_error() -> None:
    with pytest.raises(ValueError, match="the target must have the logits' shape"):
        consistency_distance(torch.zeros(1, 2, 3), torch.zeros(1, 3, 3))
