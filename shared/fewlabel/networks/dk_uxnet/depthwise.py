"""Depthwise convolutions of volumes."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class DepthwiseConv3d(nn.Conv3d):
    """A convolution of each channel by itself, which keeps the size of the volume.

    On CPUs it computes in the precision of its weights under autocast too: there PyTorch 2.13's gradient for weights in
    bfloat16 holds memory that was never written, or the process crashes, where the channels come last and the kernel is
    wider than the volume.

    Args:
        channels: C.
        kernel_size: odd, along each side.
        bias: add a number to each channel.
    """

    def __init__(self, channels: int, kernel_size: int, bias: bool = True) -> None:
        super().__init__(channels, channels, kernel_size, padding=kernel_size // 2, groups=channels, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) -> the same shape, on CPUs in the precision of the weights."""
        if x.device.type == "cpu":
            with torch.autocast("cpu", enabled=False):
                widened: Tensor = self._conv_forward(x.to(self.weight.dtype), self.weight, self.bias)
            return widened
        y: Tensor = self._conv_forward(x, self.weight, self.bias)
        return y
