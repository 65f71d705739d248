from __future__ import annotations

import math

import pytest
import torch

from fewlabel.losses import NTXentLoss, nt_xent, region_contrast


def double(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def literal(view_a: torch.Tensor, view_b: torch.Tensor, temperature: float) -> float:
    """DK-UXNet eq. 3, one view at a time, with the cosine of two lists of numbers."""
    views = view_a.tolist() + view_b.tolist()
    b = len(views) // 2

    def cosine(x: list[float], y: list[float]) -> float:
        return sum(p * q for p, q in zip(x, y, strict=True)) / math.hypot(*x) / math.hypot(*y)

    total = 0.0
    for i, view in enumerate(views):
        partner = i + b if i < b else i - b
        numerator = math.exp(cosine(view, views[partner]) / temperature)
        denominator = sum(math.exp(cosine(view, other) / temperature) for k, other in enumerate(views) if k != i)
        total -= math.log(numerator / denominator)
    return total / len(views)


def test_two_orthogonal_samples_with_equal_views_give_log_of_one_plus_two_over_e() -> None:
    views = torch.eye(2, dtype=torch.float64)
    assert nt_xent(views, views, temperature=1.0).item() == pytest.approx(math.log(1 + 2 / math.e))


@pytest.mark.parametrize("b", [1, 2, 5])
@pytest.mark.parametrize("temperature", [0.07, 0.1, 1.0])
def test_equals_the_formula_written_out(b: int, temperature: float) -> None:
    view_a, view_b = double(b, 4), double(b, 4, seed=1)
    assert nt_xent(view_a, view_b, temperature).item() == pytest.approx(literal(view_a, view_b, temperature), abs=1e-12)


def test_is_the_mean_of_the_region_contrast_of_both_directions() -> None:
    view_a, view_b = double(6, 3), double(6, 3, seed=1)
    both = (region_contrast(view_a, view_b) + region_contrast(view_b, view_a)) / 2
    assert nt_xent(view_a, view_b).item() == pytest.approx(both.item())


def test_the_length_of_a_vector_does_not_matter() -> None:
    view_a, view_b = double(4, 3), double(4, 3, seed=1)
    stretched = view_a * torch.tensor([[1e-3], [0.5], [7.0], [1e4]], dtype=torch.float64)
    assert nt_xent(stretched, view_b).item() == pytest.approx(nt_xent(view_a, view_b).item())


def test_views_may_trade_places_and_samples_may_be_reordered_together() -> None:
    view_a, view_b = double(5, 3), double(5, 3, seed=1)
    order = torch.tensor([3, 0, 4, 1, 2])
    expected = nt_xent(view_a, view_b).item()
    assert nt_xent(view_b, view_a).item() == pytest.approx(expected)
    assert nt_xent(view_a[order], view_b[order]).item() == pytest.approx(expected)
    assert nt_xent(view_a[order], view_b).item() != pytest.approx(expected, rel=1e-3)


def test_one_sample_has_nothing_to_repel_and_costs_nothing() -> None:
    view_a = double(1, 3).requires_grad_()
    loss = nt_xent(view_a, double(1, 3, seed=1))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(view_a.grad, torch.zeros(1, 3, dtype=torch.float64))


def test_gradients_equal_finite_differences() -> None:
    inputs = (double(3, 4).requires_grad_(), double(3, 4, seed=1).requires_grad_())
    assert torch.autograd.gradcheck(lambda a, b: nt_xent(a, b, 0.5), inputs)


def test_stays_finite_at_a_temperature_of_a_thousandth() -> None:
    view_a, view_b = double(8, 4).float().requires_grad_(), double(8, 4, seed=1).float()
    loss = nt_xent(view_a, view_b, temperature=1e-3)
    loss.backward()
    assert loss.isfinite()
    assert view_a.grad.isfinite().all()


def test_the_module_equals_the_function() -> None:
    view_a, view_b = double(4, 3), double(4, 3, seed=1)
    assert torch.equal(NTXentLoss(0.3)(view_a, view_b), nt_xent(view_a, view_b, 0.3))


@pytest.mark.parametrize(
    ("view_a", "view_b", "temperature", "message"),
    [
        (torch.ones(2, 3), torch.ones(3, 3), 0.1, r"view_a and view_b must have one shape.*\(2, 3\) and \(3, 3\)"),
        (torch.ones(2, 3, 4), torch.ones(2, 3, 4), 0.1, r"flatten maps with"),
        (torch.ones(0, 3), torch.ones(0, 3), 0.1, "are empty"),
        (torch.ones(2, 3).long(), torch.ones(2, 3).long(), 0.1, "must be floating point, got torch.int64"),
        (torch.ones(2, 3), torch.ones(2, 3), 0.0, "temperature must be positive, got 0.0"),
        (torch.ones(2, 3), torch.ones(2, 3), math.nan, "temperature must be positive, got nan"),
    ],
)
def test_says_what_is_wrong_with_its_input(
    view_a: torch.Tensor, view_b: torch.Tensor, temperature: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        nt_xent(view_a, view_b, temperature)
