from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from fewlabel.losses import LocalContrastiveLoss, local_contrastive


def double(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def literal(features: Tensor, labels: Tensor, temperature: float) -> float:
    """The docstring's formula, anchor by anchor."""
    losses = []
    for group, classes in zip(features.tolist(), labels.tolist(), strict=True):
        n = len(group)
        s = [[sum(a * b for a, b in zip(u, v, strict=True)) / temperature for v in group] for u in group]
        for i in range(n):
            positives = [p for p in range(n) if p != i and classes[p] == classes[i]]
            if classes[i] == 0 or not positives:
                continue
            denominator = sum(math.exp(s[i][k]) for k in range(n) if k != i)
            losses.append(-sum(math.log(math.exp(s[i][p]) / denominator) for p in positives) / len(positives))
    return sum(losses) / len(losses) if losses else 0.0


@pytest.mark.parametrize("temperature", [0.1, 1.0])
@pytest.mark.parametrize(("groups", "pixels", "classes"), [(1, 5, 2), (3, 12, 4), (2, 7, 7)])
def test_equals_the_loop_over_anchors(groups: int, pixels: int, classes: int, temperature: float) -> None:
    features = torch.nn.functional.normalize(double(groups, pixels, 3), dim=2)
    labels = torch.randint(classes, (groups, pixels), generator=torch.Generator().manual_seed(1))

    assert local_contrastive(features, labels, temperature).item() == pytest.approx(
        literal(features, labels, temperature)
    )


def test_the_background_is_no_anchor_but_repels() -> None:
    foreground = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
    background = torch.tensor([[[0.0, 1.0], [0.0, 1.0], [0.0, 1.0]]])
    labels = torch.tensor([[1, 1, 0, 0, 0]])

    value = local_contrastive(torch.cat([foreground, background], dim=1), labels, temperature=1.0)

    assert value.item() == pytest.approx(math.log(1 + 3 * math.exp(-1)))


def test_without_a_positive_pair_it_is_zero_with_a_graph() -> None:
    features = double(1, 3, 2).requires_grad_()
    value = local_contrastive(features, torch.tensor([[0, 0, 2]]))
    value.backward()

    assert value.item() == 0
    assert features.grad is not None
    assert not features.grad.any()


def test_its_gradient_equals_finite_differences() -> None:
    labels = torch.tensor([[0, 1, 1, 2], [2, 2, 2, 0]])

    assert torch.autograd.gradcheck(lambda f: local_contrastive(f, labels, 0.5), double(2, 4, 3).requires_grad_())


def test_half_precision_and_tiny_temperatures_stay_finite() -> None:
    features = torch.nn.functional.normalize(double(1, 6, 3), dim=2)
    labels = torch.tensor([[1, 1, 2, 2, 0, 0]])

    assert local_contrastive(features.half(), labels, 1e-3).isfinite()
    assert local_contrastive(features.half(), labels).dtype == torch.float32


def test_the_module_is_the_function() -> None:
    features, labels = double(1, 4, 2), torch.tensor([[1, 1, 0, 2]])

    assert torch.equal(LocalContrastiveLoss(0.3)(features, labels), local_contrastive(features, labels, 0.3))


def test_shapes_and_temperature_are_checked() -> None:
    with pytest.raises(ValueError, match=r"features \(g, n, d\) and labels \(g, n\), got \(4, 2\) and \(4,\)"):
        local_contrastive(torch.zeros(4, 2), torch.zeros(4))
    with pytest.raises(ValueError, match=r"temperature must be positive, got 0"):
        local_contrastive(torch.zeros(1, 4, 2), torch.zeros(1, 4), 0)
