from __future__ import annotations

import math

import pytest
import torch

from fewlabel.losses import mutual_consistency, sharpen


def literal(logits: list[torch.Tensor], temperature: float) -> float:
    """The sum over ordered pairs of decoders, voxel by voxel, with floats."""
    total, power = 0.0, 1 / temperature
    for i, one in enumerate(logits):
        for j, other in enumerate(logits):
            if i == j:
                continue
            errors = []
            for b in range(one.shape[0]):
                for place in range(one[0, 0].numel()):
                    exps = [
                        [math.exp(float(x[b, k].flatten()[place])) for k in range(x.shape[1])] for x in (one, other)
                    ]
                    p, q = ([e / sum(row) for e in row] for row in exps)
                    errors += [(a - b**power / (b**power + (1 - b) ** power)) ** 2 for a, b in zip(p, q, strict=True)]
            total += sum(errors) / len(errors)
    return total


@pytest.mark.parametrize(("decoders", "classes"), [(2, 2), (3, 2), (2, 4)])
@pytest.mark.parametrize("temperature", [0.1, 0.5, 1.0])
def test_the_loss_is_its_literal_sum_over_pairs_and_voxels(decoders: int, classes: int, temperature: float) -> None:
    torch.manual_seed(0)
    logits = [torch.randn(2, classes, 2, 3, 2) for _ in range(decoders)]
    assert float(mutual_consistency(logits, temperature)) == pytest.approx(literal(logits, temperature), abs=1e-5)


def test_sharpening_by_hand() -> None:
    # 0.75 against 0.25 at T = 0.5: 9 / (9 + 1)
    torch.testing.assert_close(sharpen(torch.tensor([0.75, 0.25, 0.5]), 0.5), torch.tensor([0.9, 0.1, 0.5]))


def test_a_temperature_of_one_changes_nothing_and_a_low_one_leaves_the_extremes() -> None:
    p = torch.linspace(0, 1, 11)
    torch.testing.assert_close(sharpen(p, 1.0), p)
    torch.testing.assert_close(sharpen(p, 0.02)[[0, 3, 7, 10]], torch.tensor([0.0, 0, 1, 1]), atol=1e-6, rtol=0)


def test_decoders_that_are_sure_and_agree_cost_nothing() -> None:
    sure = torch.tensor([40.0, -40.0]).reshape(1, 2, 1, 1, 1).expand(1, 2, 2, 2, 2)
    assert float(mutual_consistency([sure, sure])) == 0
    assert float(mutual_consistency([sure, -sure])) == pytest.approx(2)


def test_the_order_of_decoders_does_not_matter() -> None:
    torch.manual_seed(0)
    logits = [torch.randn(1, 2, 2, 2, 2, dtype=torch.float64) for _ in range(3)]
    torch.testing.assert_close(mutual_consistency(logits), mutual_consistency(logits[::-1]))


def test_gradients_pass_through_both_sides_unless_targets_are_detached() -> None:
    torch.manual_seed(0)
    logits = [torch.randn(1, 2, 1, 2, 2, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    assert torch.autograd.gradcheck(lambda a, b: mutual_consistency([a, b], 0.5), logits)
    gradients = [torch.autograd.grad(mutual_consistency(logits, 0.5, detach), logits)[0] for detach in (False, True)]
    assert not torch.allclose(*gradients)
    p, q = (one.softmax(1) for one in logits)
    expected = torch.autograd.grad((p - sharpen(q.detach(), 0.5)).square().mean(), logits[0])[0]
    torch.testing.assert_close(gradients[1], expected)


def test_extreme_logits_have_finite_gradients() -> None:
    logits = [torch.tensor([1000.0, -1000.0]).reshape(1, 2, 1, 1, 1).requires_grad_() for _ in range(2)]
    mutual_consistency([logits[0], -logits[1]]).backward()
    assert all(torch.isfinite(one.grad).all() for one in logits)


def test_predictions_that_do_not_fit_and_temperatures_out_of_range_are_refused() -> None:
    one = torch.zeros(1, 2, 2, 2, 2)
    for logits in ([one], [one, one[..., :1]]):
        with pytest.raises(ValueError, match="two or more predictions of one shape"):
            mutual_consistency(logits)
    for temperature in (0.0, 0.01, 1.5):
        with pytest.raises(ValueError, match="temperature must be in"):
            sharpen(one, temperature)
