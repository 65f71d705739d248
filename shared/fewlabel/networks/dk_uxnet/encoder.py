"""The encoder of 3D UX-Net: ConvNeXt stages for volumes, with depthwise convolutions of 7 x 7 x 7."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from monai.networks.blocks import Convolution
from torch import Tensor, nn

from fewlabel.networks.dk_uxnet.depthwise import DepthwiseConv3d


class ChannelNorm(nn.Module):
    """LayerNorm over the channels of each voxel.

    Args:
        channels: C.

    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) -> the same shape; no copy where the channels come last in memory."""
        last = x.permute(0, 2, 3, 4, 1)
        return F.layer_norm(last, [last.shape[4]], self.weight, self.bias, 1e-6).permute(0, 4, 1, 2, 3)


class UXBlock(nn.Module):
    r"""Depthwise 7 x 7 x 7 convolution, norm, and an expansion by four that keeps the channels apart.

    .. math:: x + \gamma \, C_2(GELU(C_1(LN(DC(x)))))

    Lee et al., "3D UX-Net", ICLR 2023, section 3.2. Other than in ConvNeXt, the two pointwise convolutions are grouped:
    each channel is expanded to four of its own and back ("depthwise convolution scaling").

    Args:
        channels: C.
        layer_scale: start of :math:`\gamma`, one number per channel.

    """

    def __init__(self, channels: int, layer_scale: float = 1e-6) -> None:
        super().__init__()
        self.spatial = DepthwiseConv3d(channels, 7)
        self.norm = ChannelNorm(channels)
        self.expand = nn.Conv3d(channels, 4 * channels, kernel_size=1, groups=channels)
        self.reduce = nn.Conv3d(4 * channels, channels, kernel_size=1, groups=channels)
        self.scale = nn.Parameter(torch.full((channels, 1, 1, 1), layer_scale))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) -> the same shape."""
        y: Tensor = x + self.scale * self.reduce(F.gelu(self.expand(self.norm(self.spatial(x)))))
        return y


class UXNetEncoder(nn.Module):
    """3D UX-Net's encoder: a stem and four stages, whose normed outputs are at strides 2, 4, 8 and 16.

    Lee et al., "3D UX-Net: a large kernel volumetric ConvNet modernizing hierarchical Transformer for medical image
    segmentation", ICLR 2023. Maps are laid out with the channels last, which is where depthwise convolutions of volumes
    and channel norms are fast (``tests/benchmarks/uxnet.py``).

    Convolutions start from PyTorch's default, as in the released code. ConvNeXt's normal of 0.02 is meant for dense
    layers: on these grouped ones it makes a block's branch begin about a thousand times smaller.

    Args:
        in_channels: channels of the image.
        dims: channels of the stages.
        depths: blocks of the stages.
        layer_scale: see :class:`UXBlock`.

    Raises:
        ValueError: ``dims`` and ``depths`` differ in length.

    Example:
        >>> encoder = UXNetEncoder(dims=(4, 8), depths=(1, 1))
        >>> [tuple(out.shape) for out in encoder(torch.zeros(1, 1, 16, 16, 8))]
        [(1, 4, 8, 8, 4), (1, 8, 4, 4, 2)]

    """

    def __init__(
        self,
        in_channels: int = 1,
        dims: Sequence[int] = (48, 96, 192, 384),
        depths: Sequence[int] = (2, 2, 2, 2),
        layer_scale: float = 1e-6,
    ) -> None:
        super().__init__()
        if not dims or len(dims) != len(depths):
            raise ValueError(f"dims and depths need one entry per stage, got {tuple(dims)} and {tuple(depths)}")
        stem: nn.Module = nn.Sequential(
            Convolution(3, in_channels, dims[0], strides=2, kernel_size=7, conv_only=True), ChannelNorm(dims[0])
        )
        steps = [
            nn.Sequential(ChannelNorm(before), nn.Conv3d(before, after, kernel_size=2, stride=2))
            for before, after in pairwise(dims)
        ]
        self.downsamples = nn.ModuleList([stem, *steps])
        self.stages = nn.ModuleList(
            nn.Sequential(*(UXBlock(width, layer_scale) for _ in range(depth)))
            for width, depth in zip(dims, depths, strict=True)
        )
        self.norms = nn.ModuleList(ChannelNorm(width) for width in dims)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, in_channels, D, H, W) -> maps (B, dims[i], D / 2^(i+1), ...), finest first."""
        outputs: list[Tensor] = []
        for downsample, stage, norm in zip(self.downsamples, self.stages, self.norms):  # noqa: B905  TorchScript has no strict
            x = stage(downsample(x).contiguous(memory_format=torch.channels_last_3d))
            outputs.append(norm(x))
        return outputs
