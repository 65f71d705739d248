from __future__ import annotations

import math

import pytest
import torch

from fewlabel.sampling import certain_mask, entropy


def double(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_entropy_is_zero_for_a_sure_and_log_k_for_a_uniform_prediction() -> None:
    assert entropy(torch.tensor([[0.0, 1.0, 0.0]])).tolist() == [0]
    assert entropy(torch.full((1, 4), 0.25)).item() == pytest.approx(math.log(4))


def test_entropy_of_a_map_equals_the_pixel_loop() -> None:
    probabilities = double(2, 3, 4, 5).softmax(1)
    result = entropy(probabilities)
    assert result.shape == (2, 4, 5)
    for b in range(2):
        for row in range(4):
            for column in range(5):
                expected = -sum(p * math.log(p) for p in probabilities[b, :, row, column].tolist())
                assert result[b, row, column].item() == pytest.approx(expected)


def test_entropy_of_independent_predictions_adds_up() -> None:
    first, second = double(1, 3).softmax(1), double(1, 4, seed=1).softmax(1)
    joint = (first[:, :, None] * second[:, None]).flatten(1)
    assert entropy(joint).item() == pytest.approx(entropy(first).item() + entropy(second).item())


def test_classes_may_lie_along_any_axis() -> None:
    probabilities = double(2, 3, 4).softmax(1)
    assert torch.equal(entropy(probabilities.movedim(1, -1), dim=-1), entropy(probabilities))


def test_entropy_s_gradient_equals_finite_differences() -> None:
    assert torch.autograd.gradcheck(entropy, double(2, 3).softmax(1).requires_grad_())


def test_entropy_refuses_logits_and_integers() -> None:
    with pytest.raises(ValueError, match=r"must not be negative, got -1\.5; apply softmax over axis 1"):
        entropy(torch.tensor([[-1.5, 2.0]]))
    with pytest.raises(ValueError, match=r"must be floating point, got torch.int64"):
        entropy(torch.tensor([[1, 0]]))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.2, 0.25, 0.29, 0.5, 0.999, 1.0])
@pytest.mark.parametrize("n", [1, 10, 100])
def test_exactly_the_floor_of_the_share_is_uncertain_and_it_is_the_highest(share: float, n: int) -> None:
    entropies = double(n)
    uncertain = round(share * 1000) * n // 1000  # the floor in whole numbers
    mask = certain_mask(entropies, share)
    expected = sorted(entropies.tolist())[: n - uncertain]
    assert sorted(entropies[mask].tolist()) == expected


def test_pixels_of_all_maps_are_ranked_together() -> None:
    entropies = torch.tensor([[[0.1, 0.2]], [[0.3, 0.4]]])  # the second image is the less certain one
    assert certain_mask(entropies, 0.5).tolist() == [[[True, True]], [[False, False]]]


def test_agrees_with_the_quantile_of_the_thesis() -> None:
    entropies = double(101)
    assert torch.equal(certain_mask(entropies, 0.2), entropies <= entropies.quantile(0.8))


def test_pixels_that_tie_with_the_bound_are_certain() -> None:
    assert certain_mask(torch.tensor([0.0, 0.5, 0.5, 0.5]), 0.5).tolist() == [True, True, True, True]


def test_raising_the_share_never_makes_an_uncertain_pixel_certain() -> None:
    entropies = double(200)
    masks = [certain_mask(entropies, step / 20) for step in range(21)]
    for fewer, more in zip(masks[1:], masks[:-1], strict=True):
        assert (more | ~fewer).all()


def test_any_rising_transform_leaves_the_mask_unchanged() -> None:
    entropies = double(50)
    assert torch.equal(certain_mask(entropies, 0.3), certain_mask(entropies.exp(), 0.3))


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.75])
def test_a_nan_is_never_certain_and_takes_nobody_with_it(share: float) -> None:
    mask = certain_mask(torch.tensor([0.1, math.nan, 0.2, math.nan]), share)
    # With a share of 3/4 one of the two finite pixels falls under it as well.
    assert mask.tolist() == [True, False, share < 0.75, False]


def test_an_empty_batch_gives_an_empty_mask() -> None:
    assert certain_mask(torch.zeros(0, 4, 4), 0.2).shape == (0, 4, 4)


def test_more_pixels_than_torch_quantile_takes_are_no_problem() -> None:
    entropies = torch.linspace(0, 1, 17_000_000)
    assert certain_mask(entropies, 0.2).sum().item() == pytest.approx(13_600_000, abs=10)  # ties of float32


@pytest.mark.parametrize("share", [-0.1, 1.1, math.nan])
def test_refuses_a_share_outside_zero_to_one(share: float) -> None:
    with pytest.raises(ValueError, match=r"uncertain_fraction must be in \[0, 1\], got"):
        certain_mask(torch.zeros(3), share)
