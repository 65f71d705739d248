from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from fewlabel.networks import ContrastProjector


def literal(projector: ContrastProjector, own: nn.Conv2d, pixel: Tensor) -> Tensor:
    hidden = (own.weight[:, :, 0, 0] @ pixel + own.bias).clamp(min=0)
    z = projector.shared.weight[:, :, 0, 0] @ hidden + projector.shared.bias
    return z / z.square().sum().sqrt()


@pytest.mark.parametrize("norm_b", [False, True])
def test_every_pixel_is_projected_alone_by_own_layer_relu_shared_layer_and_normalization(norm_b: bool) -> None:
    torch.manual_seed(0)
    projector = ContrastProjector(3, 5, hidden=7, out=4, norm_b=norm_b).double()
    a, b = torch.randn(2, 3, 2, 3, dtype=torch.float64), torch.randn(2, 5, 2, 3, dtype=torch.float64)
    za, zb = projector(a, b)
    assert za.shape == zb.shape == (2, 4, 2, 3)
    for i in range(2):
        for y in range(2):
            for x in range(3):
                pixel = b[i, :, y, x]
                if norm_b:
                    pixel = (pixel - pixel.mean()) / (pixel.var(unbiased=False) + 1e-5).sqrt()
                torch.testing.assert_close(za[i, :, y, x], literal(projector, projector.own_a, a[i, :, y, x]))
                torch.testing.assert_close(zb[i, :, y, x], literal(projector, projector.own_b, pixel))


def test_the_parameters_are_those_of_two_own_layers_and_one_shared_layer() -> None:
    full = sum(p.numel() for p in ContrastProjector(16, 96).parameters())
    coarse = sum(p.numel() for p in ContrastProjector(128, 192, norm_b=True).parameters())
    assert full == (16 + 1) * 256 + (96 + 1) * 256 + (256 + 1) * 128
    assert coarse == (128 + 1) * 256 + (192 + 1) * 256 + (256 + 1) * 128 + 2 * 192


def test_the_shared_layer_learns_from_both_networks_and_the_own_layers_from_one() -> None:
    projector = ContrastProjector(3, 5, hidden=8, out=4)
    za, _ = projector(torch.rand(1, 3, 2, 2), torch.rand(1, 5, 2, 2))
    za[:, 0].sum().backward()
    assert projector.shared.weight.grad.abs().sum() > 0
    assert projector.own_a.weight.grad.abs().sum() > 0
    assert projector.own_b.weight.grad is None


def test_with_norm_b_the_scale_of_network_b_does_not_matter() -> None:
    projector = ContrastProjector(3, 5, norm_b=True).double()
    a, b = torch.rand(1, 3, 2, 2, dtype=torch.float64), 10 * torch.randn(1, 5, 2, 2, dtype=torch.float64)
    torch.testing.assert_close(projector(a, b)[1], projector(a, 100 * b)[1], rtol=1e-5, atol=1e-6)


def test_a_map_with_the_wrong_channels_is_an_error_that_names_it() -> None:
    projector = ContrastProjector(3, 5)
    with pytest.raises(ValueError, match=r"features_b must be \(B, 5, H, W\) or \(n, 5\), got \(1, 3, 2, 2\)"):
        projector(torch.rand(1, 3, 2, 2), torch.rand(1, 3, 2, 2))


@pytest.mark.parametrize("norm_b", [False, True])
def test_single_pixels_are_projected_as_the_map_they_come_from_is(norm_b: bool) -> None:
    projector = ContrastProjector(3, 5, norm_b=norm_b)
    maps = torch.rand(2, 3, 4, 4), torch.rand(2, 5, 4, 4)
    pixels = projector(*(m.movedim(1, -1).flatten(0, 2) for m in maps))

    for ours, whole in zip(pixels, projector(*maps), strict=True):
        torch.testing.assert_close(ours, whole.movedim(1, -1).flatten(0, 2))
    assert [tuple(empty.shape) for empty in projector(torch.zeros(0, 3), torch.zeros(0, 5))] == [(0, 128), (0, 128)]
