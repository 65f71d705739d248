from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fewlabel.losses import AnchoredContrastiveLoss, anchored_contrastive


def literal_loss(
    anchors: Tensor, positives: Tensor, negatives: Tensor, labels: Tensor, temperature: float, balanced: bool
) -> float:
    """Equation 5.7 of one class, or 6.4 when not balanced, as printed."""

    def similarity(left: Tensor, right: Tensor) -> float:
        return math.exp(sum(a * b for a, b in zip(left.tolist(), right.tolist(), strict=True)) / temperature)

    losses = []
    for i, anchor in enumerate(anchors):
        total = 0.0
        for label in sorted(set(labels.tolist())):
            values = [similarity(anchor, n) for n, y in zip(negatives, labels.tolist(), strict=True) if y == label]
            total += sum(values) / len(values) if balanced else sum(values)
        positive = similarity(anchor, positives if positives.ndim == 1 else positives[i])
        losses.append(-math.log(positive / (positive + total)))
    return sum(losses) / len(losses)


def unit(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, dtype=torch.float64, generator=generator), dim=-1)


LABELS = torch.tensor([4, 4, 4, 4, -7, 0, 0])


def test_orthogonal_negatives_of_one_class_count_once_when_balanced_and_each_when_not() -> None:
    anchors, center = torch.tensor([[1.0, 0.0]]), torch.tensor([1.0, 0.0])
    negatives, labels = torch.tensor([[0.0, 1.0], [0.0, -1.0]]), torch.tensor([2, 2])
    balanced = anchored_contrastive(anchors, center, negatives, labels, temperature=1.0)
    plain = anchored_contrastive(anchors, center, negatives, labels, temperature=1.0, balanced=False)
    assert balanced.item() == pytest.approx(math.log(1 + math.exp(-1)))
    assert plain.item() == pytest.approx(math.log(1 + 2 * math.exp(-1)))


@pytest.mark.parametrize("balanced", [True, False])
@pytest.mark.parametrize("temperature", [1.0, 0.1, 0.01])
@pytest.mark.parametrize("positives", [unit(3, seed=1), unit(5, 3, seed=1)], ids=["one center", "one per anchor"])
def test_equals_the_equation_written_out_pair_by_pair(positives: Tensor, temperature: float, balanced: bool) -> None:
    arguments = (unit(5, 3), positives, unit(7, 3, seed=2), LABELS, temperature, balanced)
    assert anchored_contrastive(*arguments).item() == pytest.approx(literal_loss(*arguments), rel=1e-9)


def test_one_negative_of_each_class_needs_no_balance() -> None:
    arguments = (unit(4, 3), unit(3, seed=1), unit(6, 3, seed=2), torch.arange(6))
    balanced, plain = anchored_contrastive(*arguments), anchored_contrastive(*arguments, balanced=False)
    torch.testing.assert_close(balanced, plain)


def test_repeating_a_class_of_negatives_changes_the_plain_sum_only() -> None:
    anchors, center, negatives = unit(4, 3), unit(3, seed=1), unit(7, 3, seed=2)
    more, more_labels = torch.cat([negatives, negatives[:4]]), torch.cat([LABELS, LABELS[:4]])
    once = anchored_contrastive(anchors, center, negatives, LABELS)
    torch.testing.assert_close(anchored_contrastive(anchors, center, more, more_labels), once)
    plain = anchored_contrastive(anchors, center, negatives, LABELS, balanced=False)
    assert anchored_contrastive(anchors, center, more, more_labels, balanced=False) > plain


@pytest.mark.parametrize("balanced", [True, False])
def test_gradient_reaches_anchors_positives_and_negatives(balanced: bool) -> None:
    inputs = [unit(4, 3), unit(3, seed=1), unit(7, 3, seed=2)]
    assert torch.autograd.gradcheck(
        lambda *features: anchored_contrastive(*features, LABELS, 0.2, balanced),
        [features.requires_grad_() for features in inputs],
    )


def test_a_temperature_of_one_thousandth_neither_overflows_nor_loses_the_loss() -> None:
    anchors = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], requires_grad=True)
    negatives = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    loss = anchored_contrastive(anchors, torch.tensor([1.0, 0.0]), negatives, torch.tensor([1, 1]), temperature=1e-3)
    loss.backward()
    # Anchor 1: positive and one of two negatives at +1000, log(1 + 1/2). Anchor 2: positive at -1000: 2000 - log 2.
    assert loss.item() == pytest.approx((math.log(1.5) + 2000 - math.log(2)) / 2)
    assert anchors.grad.isfinite().all()


def test_no_anchor_gives_zero_with_a_graph() -> None:
    anchors = torch.ones(0, 3, requires_grad=True)
    loss = anchored_contrastive(anchors, unit(3).float(), unit(7, 3).float(), LABELS)
    loss.backward()
    assert loss == 0
    assert anchors.grad.shape == (0, 3)


@pytest.mark.parametrize("balanced", [True, False])
def test_no_negative_gives_zero_with_a_graph(balanced: bool) -> None:
    anchors = unit(4, 3).requires_grad_()
    loss = anchored_contrastive(anchors, unit(3), torch.ones(0, 3), torch.ones(0).long(), balanced=balanced)
    loss.backward()
    assert loss == 0
    assert anchors.grad.eq(0).all()


def test_module_and_function_agree() -> None:
    arguments = (unit(4, 3), unit(4, 3, seed=1), unit(7, 3, seed=2), LABELS)
    module = AnchoredContrastiveLoss(temperature=0.3, balanced=False)
    assert module(*arguments) == anchored_contrastive(*arguments, 0.3, balanced=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"anchors": torch.ones(3)}, r"anchors must be \(a, d\), got \(3,\)"),
        ({"positives": torch.ones(2, 3)}, r"positives must be \(3,\) or \(4, 3\).*got \(2, 3\)"),
        ({"negatives": torch.ones(7, 2)}, r"negatives must be \(m, 3\), got \(7, 2\)"),
        ({"negative_labels": LABELS[:5]}, r"negative_labels must be \(7,\), one per negative, got \(5,\)"),
        ({"negatives": torch.ones(7, 3).long()}, r"negatives must be floating point, got torch.int64"),
        ({"negative_labels": LABELS.float()}, r"negative_labels must be integers, got torch.float32"),
        ({"temperature": -1.0}, "temperature must be positive, got -1.0"),
    ],
)
def test_unusable_arguments_are_named(change: dict[str, Tensor | float], message: str) -> None:
    arguments = {
        "anchors": torch.ones(4, 3),
        "positives": torch.ones(3),
        "negatives": torch.ones(7, 3),
        "negative_labels": LABELS,
    }
    with pytest.raises(ValueError, match=message):
        anchored_contrastive(**{**arguments, **change})
