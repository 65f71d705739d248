"""A network that registers slices: two images to the displacement of one onto the other."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.nets import VoxelMorphUNet
from torch import Tensor, nn


class RegistrationUNet(nn.Module):
    """VoxelMorph's U-Net for slices, which begins with no displacement at all.

    Balakrishnan et al., "VoxelMorph: a learning framework for deformable medical image registration", IEEE TMI 2019, in
    2D, without normalization: 81,458 parameters for one channel. Its last convolution starts at 0, as the paper's
    starts near it, so that images are where they are before anything is learned.

    Args:
        in_channels: channels of one image.
        channels: channels of each level down and up, in pairs, finest first.
        out_channels: channels of the finest map.
        final_channels: channels of the convolutions at full resolution before the last.

    Raises:
        ValueError: the channels come in no pairs.

    >>> network = RegistrationUNet()
    >>> image = torch.rand(1, 1, 16, 16)
    >>> network(image, image.flip(2)).abs().max()
    tensor(0., grad_fn=<MaxBackward1>)
    """

    def __init__(
        self,
        in_channels: int = 1,
        channels: Sequence[int] = (16, 32, 32, 32, 32, 32),
        out_channels: int = 32,
        final_channels: Sequence[int] = (16, 16),
    ) -> None:
        super().__init__()
        if len(channels) < 2 or len(channels) % 2:
            raise ValueError(f"channels come in pairs, down and up, at least one pair; got {tuple(channels)}")
        self.stride = 2 ** (len(channels) // 2)
        self.unet = VoxelMorphUNet(
            spatial_dims=2,
            in_channels=2 * in_channels,
            unet_out_channels=out_channels,
            channels=channels,
            final_conv_channels=final_channels,
        )
        last = [module for module in self.unet.modules() if isinstance(module, nn.Conv2d)][-1]
        for parameter in last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, moving: Tensor, fixed: Tensor) -> Tensor:
        """Return the displacement (B, 2, H, W) in pixels that takes the moving images onto the fixed ones.

        Args:
            moving: (B, C, H, W).
            fixed: of the same shape.

        Raises:
            ValueError: the shapes differ, or a side is no multiple of the stride.
        """
        if moving.shape != fixed.shape:
            raise ValueError(
                f"moving and fixed images must have one shape, got {tuple(moving.shape)} and {tuple(fixed.shape)}"
            )
        if moving.shape[2] % self.stride or moving.shape[3] % self.stride:
            raise ValueError(
                f"the sides of the images must be multiples of {self.stride}, got {moving.shape[2]} x {moving.shape[3]}"
            )
        displacement: Tensor = self.unet(torch.cat([moving, fixed], dim=1))
        return displacement
