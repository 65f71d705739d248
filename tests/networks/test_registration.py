from __future__ import annotations

import pytest
import torch

from fewlabel.networks import RegistrationUNet


def test_it_begins_without_displacement_and_every_parameter_learns_after_the_first_step() -> None:
    torch.manual_seed(0)
    network = RegistrationUNet(in_channels=2, channels=(4, 4, 4, 4), out_channels=4, final_channels=(4,))
    moving, fixed = torch.rand(2, 2, 2, 8, 16)
    displacement = network(moving, fixed)
    assert displacement.shape == (2, 2, 8, 16)
    assert torch.equal(displacement, torch.zeros_like(displacement))
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    (displacement - 1).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()
    (network(moving, fixed) - 1).square().mean().backward()
    assert all(bool(parameter.grad.any()) for parameter in network.parameters())
    assert not torch.allclose(network(moving, fixed), network(fixed, moving))


def test_for_one_channel_it_has_the_parameters_of_voxelmorphs_network_in_2d() -> None:
    def convolution(before: int, after: int) -> int:
        return 9 * before * after + after

    down = convolution(2, 16) + convolution(16, 32) + convolution(32, 32) + convolution(32, 32)
    up = convolution(32 + 32, 32) + convolution(32 + 32, 32) + convolution(16 + 32, 32)
    full_resolution = convolution(32, 16) + convolution(16, 16) + convolution(16, 2)
    parameters = sum(parameter.numel() for parameter in RegistrationUNet().parameters())
    assert parameters == down + up + full_resolution == 81_458


def test_images_it_cannot_take_and_channels_without_a_partner_are_errors() -> None:
    network = RegistrationUNet()
    with pytest.raises(ValueError, match=r"must have one shape, got \(1, 1, 8, 8\) and \(2, 1, 8, 8\)"):
        network(torch.zeros(1, 1, 8, 8), torch.zeros(2, 1, 8, 8))
    with pytest.raises(ValueError, match="must be multiples of 8, got 8 x 12"):
        network(torch.zeros(1, 1, 8, 12), torch.zeros(1, 1, 8, 12))
    with pytest.raises(ValueError, match="channels come in pairs"):
        RegistrationUNet(channels=(4, 4, 4))
