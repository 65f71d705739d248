from __future__ import annotations

import math

import pytest
import torch

from fewlabel.losses import RegionContrastLoss, region_contrast


def double(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def literal(query: torch.Tensor, key: torch.Tensor, temperature: float) -> float:
    """The paper's local loss, region by region, without the self term and with a mean over regions."""
    unit_q = [[x / math.hypot(*row) for x in row] for row in query.tolist()]
    unit_p = [[x / math.hypot(*row) for x in row] for row in key.tolist()]

    def similarity(x: list[float], y: list[float]) -> float:
        return math.exp(sum(p * q for p, q in zip(x, y, strict=True)) / temperature)

    losses = []
    for k, q in enumerate(unit_q):
        denominator = 0.0
        for j in range(len(unit_q)):
            if j != k:
                denominator += similarity(q, unit_q[j])
            denominator += similarity(q, unit_p[j])
        losses.append(-math.log(similarity(q, unit_p[k]) / denominator))
    return sum(losses) / len(losses)


def test_matching_orthogonal_regions_by_hand() -> None:
    # K = 3: the positive is e, and two regions in each image contribute 1 each.
    means = torch.eye(3, dtype=torch.float64)
    assert region_contrast(means, means, temperature=1.0).item() == pytest.approx(math.log((math.e + 4) / math.e))


def test_a_region_is_not_contrasted_with_itself() -> None:
    # K = 2: with the self term the denominator would be 2e + 2 instead of e + 2.
    means = torch.eye(2, dtype=torch.float64)
    loss = region_contrast(means, means, temperature=1.0).item()
    assert loss == pytest.approx(math.log((math.e + 2) / math.e))
    assert loss != pytest.approx(math.log((2 * math.e + 2) / math.e))


@pytest.mark.parametrize("regions", [1, 2, 7])
@pytest.mark.parametrize("temperature", [0.07, 0.1, 1.0])
def test_equals_the_formula_written_out(regions: int, temperature: float) -> None:
    query, key = double(regions, 5), double(regions, 5, seed=1)
    expected = literal(query, key, temperature)
    assert region_contrast(query, key, temperature).item() == pytest.approx(expected, abs=1e-12)


def test_regions_may_be_reordered_together_and_features_rotated() -> None:
    query, key = double(6, 4), double(6, 4, seed=1)
    order = torch.tensor([5, 2, 0, 3, 1, 4])
    rotation = torch.linalg.qr(double(4, 4, seed=2)).Q
    expected = region_contrast(query, key).item()
    assert region_contrast(query[order], key[order]).item() == pytest.approx(expected)
    assert region_contrast(query @ rotation, key @ rotation).item() == pytest.approx(expected)


def test_the_two_images_are_not_interchangeable() -> None:
    query, key = double(4, 3), double(4, 3, seed=1)
    assert region_contrast(query, key).item() != pytest.approx(region_contrast(key, query).item(), rel=1e-3)


def test_indistinguishable_regions_cost_the_log_of_the_number_of_candidates() -> None:
    means = torch.ones(5, 3)
    assert region_contrast(means, means).item() == pytest.approx(math.log(2 * 5 - 1))


def test_a_single_region_costs_nothing_and_keeps_a_graph() -> None:
    query = double(1, 3).requires_grad_()
    loss = region_contrast(query, double(1, 3, seed=1))
    loss.backward()
    assert loss.item() == 0
    assert query.grad.abs().max() == 0


def test_a_region_without_features_leaves_every_gradient_finite() -> None:
    query = double(4, 3)
    query[1] = 0
    query.requires_grad_()
    region_contrast(query, double(4, 3, seed=1)).backward()
    assert query.grad.isfinite().all()
    assert query.grad[1].abs().max() == 0
    assert query.grad[0].abs().max() > 0


def test_gradients_equal_finite_differences() -> None:
    inputs = (double(3, 4).requires_grad_(), double(3, 4, seed=1).requires_grad_())
    assert torch.autograd.gradcheck(lambda q, p: region_contrast(q, p, 0.5), inputs)


def test_stays_finite_at_a_temperature_of_a_thousandth() -> None:
    query, key = double(8, 4).float().requires_grad_(), double(8, 4, seed=1).float()
    loss = region_contrast(query, key, temperature=1e-3)
    loss.backward()
    assert loss.isfinite()
    assert query.grad.isfinite().all()


def test_the_module_equals_the_function() -> None:
    query, key = double(4, 3), double(4, 3, seed=1)
    assert torch.equal(RegionContrastLoss(0.3)(query, key), region_contrast(query, key, 0.3))


def test_says_which_shapes_do_not_pair_up() -> None:
    with pytest.raises(ValueError, match=r"query and key must have one shape.*\(2, 3\) and \(2, 4\)"):
        region_contrast(torch.ones(2, 3), torch.ones(2, 4))


def test_refuses_a_negative_temperature() -> None:
    with pytest.raises(ValueError, match=r"temperature must be positive, got -1"):
        region_contrast(torch.ones(2, 3), torch.ones(2, 3), temperature=-1)
