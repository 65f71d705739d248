"""Depthwise convolutions of volumes, where mixed precision goes wrong by itself."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from fewlabel.networks.dk_uxnet.depthwise import DepthwiseConv3d


def gradients(convolution: nn.Module, x: Tensor) -> list[Tensor]:
    convolution.zero_grad()
    own = x.detach().requires_grad_()
    output: Tensor = convolution(own)
    output.square().sum().backward()
    return [own.grad, *(parameter.grad for parameter in convolution.parameters())]


@pytest.mark.parametrize(("kernel", "size"), [(7, (4, 4, 2)), (5, (4, 4, 4)), (3, (2, 2, 1)), (3, (9, 8, 6))])
def test_it_computes_in_float32_under_autocast_with_kernels_wider_than_the_volume(
    kernel: int, size: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    convolution = DepthwiseConv3d(6, kernel)
    x = torch.randn(2, 6, *size).contiguous(memory_format=torch.channels_last_3d)
    expected = gradients(convolution, x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = convolution(x.bfloat16())
        found = gradients(convolution, x)
    assert output.dtype == torch.float32
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("bias", [True, False])
def test_it_is_the_convolution_with_one_group_a_channel(bias: bool) -> None:
    convolution = DepthwiseConv3d(3, 5, bias)
    plain = nn.Conv3d(3, 3, 5, padding=2, groups=3, bias=bias)
    plain.load_state_dict(convolution.state_dict())
    x = torch.randn(1, 3, 6, 5, 4)
    assert torch.equal(convolution(x), plain(x))
    assert torch.equal(torch.jit.script(convolution)(x), plain(x))
