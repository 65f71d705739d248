"""The base of U-Nets of window attention: the tokens' path through encoder and decoder, and the checks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

PATCH = 4


class PatchExpand(nn.Module):
    """Each token becomes factor x factor tokens: a linear layer without bias, rearranged, then LayerNorm.

    Args:
        dim: channels of the input.
        out_dim: channels of the output.
        factor: how many times each side grows.

    """

    def __init__(self, dim: int, out_dim: int, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.expand = nn.Linear(dim, factor * factor * out_dim, bias=False)
        self.norm = nn.LayerNorm(out_dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, dim) -> (B, factor * H, factor * W, out_dim)."""
        batch, height, width, _ = x.shape
        f = self.factor
        x = self.expand(x).view(batch, height, width, f, f, -1).transpose(2, 3)
        y: Tensor = self.norm(x.reshape(batch, f * height, f * width, -1))
        return y


class TokenUNet(nn.Module):
    """Base of Swin-Unet and CS-UNet, which make their own modules and say how an image becomes tokens.

    A subclass makes ``encoder``, ``norm``, ``decoder``, ``norm_up``, ``expand`` and ``head``. Stages of the encoder map
    tokens to the next resolution; those of the decoder take the coarser map and the encoder's of their resolution.

    Args:
        in_channels: of the image; one channel is repeated to three, which ImageNet weights expect.
        img_size: side, or height and width, the network is meant for; a check only, since no weight depends on it.
        embed_dim: channels of the finest tokens, doubled at each stage.
        depths: blocks per encoder stage.
        num_heads: heads per stage; each must divide the stage's channels.
        head_kernel_size: 1 or 3.

    Attributes:
        dims: channels of each stage.
        stride: of the coarsest map; the image's sides are multiples of it.
        feature_channels: channels of the decoder's maps by stride, coarsest first.

    Raises:
        ValueError: if an argument does not fit.

    """

    if TYPE_CHECKING:  # TorchScript cannot read it
        encoder: nn.ModuleList
        norm: nn.Module
        decoder: nn.ModuleList
        norm_up: nn.Module
        expand: nn.Module
        head: nn.Module

    def __init__(
        self,
        in_channels: int,
        img_size: int | Sequence[int],
        embed_dim: int,
        depths: Sequence[int],
        num_heads: Sequence[int],
        head_kernel_size: int,
    ) -> None:
        super().__init__()
        self.dims = [embed_dim * 2**i for i in range(len(depths))]
        _check_arguments(in_channels, self.dims, depths, num_heads, head_kernel_size)
        self.in_channels = in_channels
        self.embedded_channels = embedded_channels(in_channels)
        self.stride = PATCH * 2 ** (len(depths) - 1)
        sides = (img_size, img_size) if isinstance(img_size, int) else img_size
        self._check_sides(*sides)
        coarser = {PATCH * 2**i: self.dims[i] for i in reversed(range(len(depths) - 1))}
        self.feature_channels = coarser | {1: embed_dim}

    def embed(self, x: Tensor) -> Tensor:
        """Image (B, embedded_channels, H, W) -> tokens (B, H / 4, W / 4, embed_dim)."""
        raise NotImplementedError

    def features(self, x: Tensor) -> dict[int, Tensor]:
        """The decoder's maps keyed by stride, coarsest first: the blocks' outputs, then the expanded map.

        Args:
            x: (B, in_channels, H, W), sides multiples of 32 by default.

        Returns:
            {stride: (B, feature_channels[stride], H / stride, W / stride)}; differentiable, channels last in memory.

        Raises:
            ValueError: if the shape does not fit.

        """
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            self._check_input(x)
        x = self.embed(x.expand(-1, self.embedded_channels, -1, -1))
        skips: list[Tensor] = []
        for stage in self.encoder:
            skips.append(x)
            x = stage(x)
        x = self.norm(x)
        skips.pop()  # the coarsest map has no skip connection
        taps: dict[int, Tensor] = {}
        stride = self.stride
        for stage in self.decoder:
            stride = stride // 2  # as TorchScript has it: no //=, no zip(strict=True)
            x = stage(x, skips.pop())
            taps[stride] = x.permute(0, 3, 1, 2)
        taps[1] = self.expand(self.norm_up(x)).permute(0, 3, 1, 2)
        return taps

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> logits (B, num_classes, H, W)."""
        logits: Tensor = self.head(self.features(x)[1])
        return logits

    @torch.jit.unused
    def _check_input(self, x: Tensor) -> None:
        if x.ndim != 4 or x.shape[1] != self.in_channels:
            raise ValueError(
                f"{type(self).__name__} expects images (B, {self.in_channels}, H, W), got {tuple(x.shape)}."
            )
        self._check_sides(*x.shape[2:])

    @torch.jit.unused
    def _check_sides(self, *sides: int) -> None:
        if len(sides) != 2 or any(side < self.stride or side % self.stride for side in sides):
            raise ValueError(
                f"{type(self).__name__} needs a height and a width that are multiples of {self.stride}, got "
                f"{tuple(sides)}; resize or pad the image."
            )


def embedded_channels(in_channels: int) -> int:
    """How many channels the first layer of these networks sees: one is repeated to three.

    >>> [embedded_channels(number) for number in (1, 2, 3, 4)]
    [3, 2, 3, 4]
    """
    return 3 if in_channels == 1 else in_channels


def rising_rates(drop_path: float, depths: Sequence[int]) -> list[list[float]]:
    """Rates of stochastic depth for the blocks of each stage, rising linearly from 0 over all of them.

    Huang et al., "Deep networks with stochastic depth", ECCV 2016.

    Args:
        drop_path: rate of the last block.
        depths: blocks per stage.

    >>> rising_rates(0.75, [2, 2])
    [[0.0, 0.25], [0.5, 0.75]]
    """
    last = max(1, sum(depths) - 1)
    rates = []
    for stage, depth in enumerate(depths):
        first = sum(depths[:stage])
        rates.append([drop_path * (first + block) / last for block in range(depth)])
    return rates


def token_head(dim: int, num_classes: int, kernel_size: int) -> nn.Conv2d:
    """The convolution from the full-resolution map to logits: 1x1 without bias, or 3x3 with bias.

    Args:
        dim: channels of the map.
        num_classes: K.
        kernel_size: 1 or 3.
    """
    return nn.Conv2d(dim, num_classes, kernel_size, padding=kernel_size // 2, bias=kernel_size > 1)


def _check_arguments(
    in_channels: int, dims: Sequence[int], depths: Sequence[int], num_heads: Sequence[int], head_kernel_size: int
) -> None:
    if in_channels < 1:
        raise ValueError(f"in_channels must be at least 1, got {in_channels}.")
    if len(depths) < 2 or len(depths) != len(num_heads):
        raise ValueError(
            f"depths and num_heads need one entry per stage, at least two; got {tuple(depths)} and {tuple(num_heads)}."
        )
    if any(dim % heads for dim, heads in zip(dims, num_heads, strict=True)):
        raise ValueError(f"num_heads {tuple(num_heads)} must divide the stages' channels {tuple(dims)}.")
    if head_kernel_size not in (1, 3):
        raise ValueError(f"head_kernel_size must be 1 or 3, got {head_kernel_size}.")
