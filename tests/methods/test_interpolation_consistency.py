"""Interpolation consistency: a student of mixed images, a teacher whose probabilities are mixed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fewlabel.losses import supervised_loss
from fewlabel.methods import InterpolationConsistency, MeanTeacher, Method, interpolation_consistency
from fewlabel.mixing import Mixture, mix_up
from helpers.pixel_networks import make_batch


def pixels() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 6, 1), nn.Tanh(), nn.Conv2d(6, 4, 1))


def apart(kind: type[Method], **options: Any) -> Any:
    """A method whose student and teacher differ."""
    method = kind(pixels(), **options)
    with torch.no_grad():
        method.network[0].bias.add_(0.5)
        method.network[2].weight.mul_(3.0)
    return method


class Shares(nn.Module):
    """Two classes, whose probabilities are an image's gray value and the rest."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, 1 - x], dim=1).log()


@pytest.mark.parametrize("unlabeled", [1, 2, 3, 6])
def test_the_consistency_equals_its_formula_written_out(unlabeled: int) -> None:
    method = apart(InterpolationConsistency, alpha=0.5)
    batch = make_batch(2, unlabeled)
    torch.manual_seed(7)
    term = method(batch)["consistency"]
    torch.manual_seed(7)
    pairs = {1: [(0, 0)], 2: [(0, 1)], 3: [(0, 2), (1, 0)], 6: [(0, 3), (1, 4), (2, 5)]}[unlabeled]
    fractions = mix_up(len(pairs), (8, 8), 0.5).mask[:, 0, 0, 0].tolist()
    images = batch["unlabeled"]["image"]
    total, count = 0.0, 0
    for (u, v), fraction in zip(pairs, fractions, strict=True):
        student = method.network((fraction * images[u] + (1 - fraction) * images[v])[None]).softmax(dim=1)[0]
        said = [method.teacher.network(images[number][None]).softmax(dim=1)[0] for number in (u, v)]
        for k, row, column in torch.cartesian_prod(torch.arange(4), torch.arange(8), torch.arange(8)).tolist():
            target = fraction * said[0][k, row, column] + (1 - fraction) * said[1][k, row, column]
            total += float(student[k, row, column] - target) ** 2
            count += 1
    assert total > 0
    assert term.item() == pytest.approx(total / count, rel=1e-4)


def test_with_a_fraction_of_one_it_is_a_mean_teacher_without_noise_of_the_first_half(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        interpolation_consistency, "mix_up", lambda count, spatial, alpha: Mixture(torch.ones(count, 1, *spatial))
    )
    batch = make_batch(2, 4)
    first_half = {**batch, "unlabeled": {"image": batch["unlabeled"]["image"][:2]}}
    mean_teacher = apart(MeanTeacher, noise=0.0, warmup=0.0)
    terms = apart(InterpolationConsistency)(batch)
    assert terms["consistency"] > 0
    torch.testing.assert_close(terms, mean_teacher(first_half))


def test_where_probabilities_are_linear_in_the_image_they_mix_as_it_does() -> None:
    batch = make_batch(2, 4, num_classes=2)
    assert InterpolationConsistency(Shares(), alpha=1.0)(batch)["consistency"].item() == pytest.approx(0, abs=1e-12)
    assert InterpolationConsistency(pixels(), alpha=1.0)(make_batch(2, 4))["consistency"] > 0


def test_the_terms_keep_their_names_and_the_supervised_one_sees_the_labeled_images_alone() -> None:
    method = InterpolationConsistency(pixels())
    for unlabeled in (0, 3):
        batch = make_batch(2, unlabeled)
        terms = method(batch, 0.5)
        assert list(terms) == ["supervised", "consistency"]
        assert (terms["consistency"] == 0) == (unlabeled == 0)
        expected = supervised_loss()(method.network(batch["labeled"]["image"]), batch["labeled"]["label"])
        torch.testing.assert_close(terms["supervised"], expected)


@pytest.mark.parametrize("alpha", [0.0, 0.001, float("nan"), float("inf")])
def test_a_distribution_that_cannot_be_drawn_from_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match=f"alpha must be a number, 0.01 or more, got {alpha}"):
        InterpolationConsistency(pixels(), alpha=alpha)
