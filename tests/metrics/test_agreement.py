from __future__ import annotations

import math

import pytest
import torch

from fewlabel.metrics import agreement, disagreement, scores


def logits(*probabilities: float) -> torch.Tensor:
    return torch.tensor(probabilities).log()[None, :, None]


def test_by_hand_half_the_moved_probability() -> None:
    # |0.7 - 0.2| + |0.2 - 0.5| + |0.1 - 0.3| = 1.0, half of it 0.5
    assert disagreement(logits(0.7, 0.2, 0.1), logits(0.2, 0.5, 0.3)).item() == pytest.approx(0.5)


def test_it_is_the_largest_difference_over_all_sets_of_classes() -> None:
    a, b = torch.randn(2, 4, 3, 3).double(), torch.randn(2, 4, 3, 3).double()
    p, q = a.softmax(1), b.softmax(1)
    sets = [[c for c in range(4) if chosen >> c & 1] for chosen in range(16)]
    oracle = torch.stack([(p[:, s].sum(1) - q[:, s].sum(1)).abs() for s in sets]).amax(0)
    assert torch.allclose(disagreement(a, b)[:, 0], oracle)


def test_equal_networks_agree_and_opposite_certainties_disagree_wholly() -> None:
    a = torch.randn(1, 3, 5, 5, 5)
    assert torch.all(disagreement(a, a) == 0)
    certain = torch.tensor([[1e4, -1e4]])[..., None]
    assert disagreement(certain, certain.flip(1)).item() == 1


def test_it_is_symmetric_and_blind_to_a_shift_of_the_logits() -> None:
    a, b = torch.randn(1, 3, 4, 4), torch.randn(1, 3, 4, 4)
    assert torch.allclose(disagreement(a, b), disagreement(b, a))
    assert torch.allclose(disagreement(a, b), disagreement(a + 7, b - 3), atol=1e-6)


def test_logits_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one shape, got \(1, 2, 4\) and \(1, 3, 4\)"):
        disagreement(torch.zeros(1, 2, 4), torch.zeros(1, 3, 4))


def test_predicted_quality_is_the_mean_dice_of_the_classes_that_either_predicts() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randint(0, 4, (6, 5, 4), generator=generator) for _ in range(2))
    a[a == 2] = 0
    b[b == 2] = 0  # nobody predicts class 2: it does not count
    oracle = [scores(a == c, b == c, spacing=(1, 1, 1))["dice"] for c in (1, 3)]
    assert agreement(a, b, 4) == pytest.approx(sum(oracle) / 2)
    assert agreement(a, b, 4) == agreement(b, a, 4)


def test_a_class_that_only_one_predicts_counts_as_zero() -> None:
    assert agreement(torch.tensor([1, 1, 2]), torch.tensor([1, 1, 0]), 3) == 0.5


def test_nothing_predicted_is_no_number() -> None:
    assert math.isnan(agreement(torch.zeros(4), torch.zeros(4), 3))


@pytest.mark.parametrize("value", [3, -1])
def test_labels_that_are_no_class_are_refused(value: int) -> None:
    with pytest.raises(ValueError, match=r"expected labels 0 to 2, got"):
        agreement(torch.tensor([0, 1]), torch.tensor([0, value]), 3)


def test_label_maps_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one shape, got \(2,\) and \(3,\)"):
        agreement(torch.zeros(2), torch.zeros(3), 2)
