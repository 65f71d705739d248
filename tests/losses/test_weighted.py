from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from fewlabel.losses import supervised_loss, weighted_cross_entropy, weighted_dice


def example(classes: int = 3, spatial: tuple[int, ...] = (4, 3)) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, classes, *spatial, generator=generator, dtype=torch.float64)
    labels = torch.randint(classes, (2, 1, *spatial), generator=generator)
    weights = torch.rand(2, 1, *spatial, generator=generator, dtype=torch.float64)
    return logits, labels, weights


def literal_cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor) -> float:
    total, count = 0.0, 0
    for image in range(logits.shape[0]):
        for row in range(logits.shape[2]):
            for column in range(logits.shape[3]):
                scores = logits[image, :, row, column].tolist()
                chosen = int(labels[image, 0, row, column])
                normalizer = sum(math.exp(score) for score in scores)
                total -= float(weights[image, 0, row, column]) * math.log(math.exp(scores[chosen]) / normalizer)
                count += 1
    return total / count


def literal_dice(logits: Tensor, labels: Tensor, weights: Tensor, smooth: float, squared: bool) -> float:
    scores = []
    for number in range(logits.shape[1]):
        both, sizes = 0.0, 0.0
        for image in range(logits.shape[0]):
            for row in range(logits.shape[2]):
                for column in range(logits.shape[3]):
                    voxel = logits[image, :, row, column].tolist()
                    p = math.exp(voxel[number]) / sum(math.exp(score) for score in voxel)
                    g = float(int(labels[image, 0, row, column]) == number)
                    w = float(weights[image, 0, row, column])
                    both += w * p * g
                    sizes += w * (p * p + g * g) if squared else w * (p + g)
        scores.append((2 * both + smooth) / (sizes + smooth))
    return 1 - sum(scores) / len(scores)


def test_the_cross_entropy_equals_the_literal_loop() -> None:
    logits, labels, weights = example()
    assert weighted_cross_entropy(logits, labels, weights).item() == pytest.approx(
        literal_cross_entropy(logits, labels, weights)
    )


@pytest.mark.parametrize("squared", [True, False])
def test_dice_equals_the_literal_loop(squared: bool) -> None:
    logits, labels, weights = example()
    assert weighted_dice(logits, labels, weights, 1e-3, squared).item() == pytest.approx(
        literal_dice(logits, labels, weights, 1e-3, squared)
    )


@pytest.mark.parametrize("spatial", [(4, 6), (4, 3, 2)])
def test_without_weights_their_mean_is_the_supervised_loss(spatial: tuple[int, ...]) -> None:
    logits, labels, _ = example(spatial=spatial)
    both = 0.5 * weighted_cross_entropy(logits, labels) + 0.5 * weighted_dice(logits, labels)
    assert both.item() == pytest.approx(supervised_loss()(logits, labels).item(), abs=1e-7)
    ones = torch.ones_like(labels, dtype=logits.dtype)
    assert weighted_dice(logits, labels, ones).item() == pytest.approx(weighted_dice(logits, labels).item())


@pytest.mark.parametrize("loss", [weighted_cross_entropy, weighted_dice])
def test_voxels_of_weight_0_change_neither_value_nor_gradient(loss) -> None:
    logits, labels, weights = example()
    weights[:, :, :2] = 0
    logits.requires_grad_()
    value = loss(logits, labels, weights)
    value.backward()
    assert torch.equal(logits.grad[:, :, :2], torch.zeros_like(logits.grad[:, :, :2]))
    changed = logits.detach().clone()
    changed[:, :, :2] += 5
    assert loss(changed, labels, weights).item() == pytest.approx(value.item())


@pytest.mark.parametrize("loss", [weighted_cross_entropy, weighted_dice])
def test_no_weight_at_all_gives_0_with_a_graph(loss) -> None:
    logits, labels, weights = example()
    value = loss(logits.requires_grad_(), labels, torch.zeros_like(weights))
    value.backward()
    assert value.item() == pytest.approx(0)
    assert torch.equal(logits.grad, torch.zeros_like(logits))


@pytest.mark.parametrize("loss", [weighted_cross_entropy, weighted_dice])
def test_gradients_are_right(loss) -> None:
    logits, labels, weights = example(spatial=(2, 2))
    assert torch.autograd.gradcheck(lambda x: loss(x, labels, weights), logits.requires_grad_())


@pytest.mark.parametrize("loss", [weighted_cross_entropy, weighted_dice])
def test_shapes_that_do_not_fit_are_named(loss) -> None:
    logits, labels, weights = example()
    with pytest.raises(ValueError, match=r"labels must have the shape \(2, 1, 4, 3\).*got \(2, 4, 3\)"):
        loss(logits, labels[:, 0], weights)
    with pytest.raises(ValueError, match=r"weights must have the shape \(2, 1, 4, 3\).*got \(2, 3, 4, 3\)"):
        loss(logits, labels, weights.expand(2, 3, 4, 3))
