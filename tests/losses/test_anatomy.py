from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fewlabel.losses import anatomy_loss


def literal(warped: Tensor, fixed: Tensor, counted: Tensor) -> float:
    images, classes, height, width = warped.shape
    total = 0.0
    for k in range(classes):
        both = 0.0
        sizes = 0.0
        for b in range(images):
            for i in range(height):
                for j in range(width):
                    p, q = float(warped[b, k, i, j]), float(fixed[b, k, i, j])
                    both += float(counted[b, 0, i, j]) * p * q
                    sizes += float(counted[b, 0, i, j]) * (p * p + q * q)
        total += (2 * both + 1e-5) / (sizes + 1e-5)
    return 1 - total / classes


def probabilities(seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, 3, 4, 5, generator=generator, dtype=torch.float64).softmax(dim=1)


def test_it_is_the_literal_sum_over_the_pixels_that_count_from_either_side() -> None:
    warped, fixed = probabilities(0), probabilities(1)
    counted = torch.rand(2, 1, 4, 5, generator=torch.Generator().manual_seed(2)) < 0.6
    loss = anatomy_loss(warped, fixed, counted)
    assert float(loss) == pytest.approx(literal(warped, fixed, counted), abs=1e-12)
    torch.testing.assert_close(anatomy_loss(fixed, warped, counted), loss)
    torch.testing.assert_close(anatomy_loss(warped, fixed), anatomy_loss(warped, fixed, torch.ones(2, 1, 4, 5)))


def test_it_is_0_only_for_equal_maps_and_1_for_labels_that_never_meet() -> None:
    warped = probabilities(0)
    assert float(anatomy_loss(warped, warped)) == pytest.approx(0, abs=1e-12)
    ones, none = torch.ones(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    apart = anatomy_loss(torch.cat([ones, none], dim=1), torch.cat([none, ones], dim=1))
    assert float(apart) == pytest.approx(1, abs=1e-5)


def test_without_a_pixel_that_counts_it_is_0_with_a_graph() -> None:
    warped = probabilities(0).requires_grad_()
    loss = anatomy_loss(warped, probabilities(1), torch.zeros(2, 1, 4, 5))
    loss.backward()
    assert float(loss.detach()) == 0
    assert float(warped.grad.abs().max()) == 0


def test_maps_of_other_shapes_are_errors() -> None:
    with pytest.raises(ValueError, match=r"one shape \(B, K, \*spatial\), got .* and \(2, 2, 4, 5\)"):
        anatomy_loss(probabilities(0), probabilities(1)[:, :2])
    with pytest.raises(ValueError, match=r"counted must have the shape \(2, 1, 4, 5\).* got \(2, 3, 4, 5\)"):
        anatomy_loss(probabilities(0), probabilities(1), torch.ones(2, 3, 4, 5))
