"""Blocks and stages of CS-UNet: convolutional Swin Transformer blocks, merging, upsampling, skip convolutions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from fewlabel.networks.cs_unet.conv_window_attention import ConvWindowAttention
from fewlabel.networks.cs_unet.feed_forward import feed_forward
from fewlabel.networks.cs_unet.token_layers import StochasticDepth, TokenConv
from fewlabel.networks.swin.token_unet import PatchExpand


class CSBlock(nn.Module):
    """Convolutional Swin Transformer block: x + attention(LN(x)), then the feed-forward; thesis eq. 3.1-3.4.

    Args:
        dim: channels of a token.
        num_heads: heads of the attention.
        window_size: largest window.
        shifted: move the windows by half their size.
        drop_path: probability of dropping the attention's branch per image.
        layer_scale: of the feed-forward, see :func:`fewlabel.networks.cs_unet.feed_forward.feed_forward`.
        kind: of the feed-forward.
        norm: "layer" or "batch", in attention and feed-forward.
        attention: further arguments of :class:`fewlabel.networks.cs_unet.conv_window_attention.ConvWindowAttention`.

    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        window_size: int,
        shifted: bool,
        drop_path: float,
        layer_scale: float | None = 0.7,
        kind: str = "depthwise",
        norm: str = "layer",
        **attention: Any,
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.attention = ConvWindowAttention(dim, num_heads, window_size, shifted, norm=norm, **attention)
        self.drop_path = StochasticDepth(drop_path)
        self.feed_forward = feed_forward(kind, dim, drop_path, layer_scale, norm)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, dim) -> (B, H, W, dim)."""
        y: Tensor = self.feed_forward(x + self.drop_path(self.attention(self.norm(x))))
        return y


class PatchMerge(nn.Module):
    """Four neighboring tokens become one of twice the channels: concatenated, LayerNorm, linear map without bias.

    Liu et al., "Swin Transformer", ICCV 2021, section 3.1.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * dim)
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, dim) -> (B, H / 2, W / 2, 2 * dim), H and W even."""
        corners = [x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]]
        y: Tensor = self.reduction(self.norm(torch.cat(corners, dim=-1)))
        return y


class EncoderStage(nn.Module):
    """Blocks at one resolution; ``downsample`` (absent in the last stage) leads to the next."""

    def __init__(self, dim: int, blocks: nn.Sequential, downsample: bool) -> None:
        super().__init__()
        self.blocks = blocks
        self.downsample = PatchMerge(dim) if downsample else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, dim) -> (B, H / 2, W / 2, 2 * dim), or the same shape in the last stage."""
        y: Tensor = self.downsample(self.blocks(x))
        return y


class ConvUpsample(nn.Module):
    """LayerNorm, a 2x2 transposed convolution with stride 2 to half the channels, GELU: thesis section 3.3.4.

    Args:
        dim: channels of the output; the input has twice as many.
        dropout: probability of zeroing an element of the output (released code).

    """

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(2 * dim)
        self.up = nn.ConvTranspose2d(2 * dim, dim, kernel_size=2, stride=2)
        self.finish = nn.Sequential(nn.GELU(), nn.Dropout(dropout))

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, 2 * dim) -> (B, 2H, 2W, dim)."""
        y: Tensor = self.finish(self.up(self.norm(x).permute(0, 3, 1, 2))).permute(0, 2, 3, 1)
        return y


class SkipConvolution(nn.Sequential):
    """Merges the upsampled and the encoder's map: twice a 3x3 convolution and GELU (SC, thesis section 3.3.4).

    Args:
        dim: channels of the output; the input has twice as many.
        dropout: probability of zeroing an element of the output (released code).

    """

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__(TokenConv(2 * dim, dim, 3), nn.GELU(), TokenConv(dim, dim, 3), nn.GELU(), nn.Dropout(dropout))


class DecoderStage(nn.Module):
    """Upsamples the coarser map, merges the encoder's map, and applies blocks.

    Args:
        dim: channels of the output; the coarser map has twice as many.
        blocks: at this resolution.
        convolutional: upsample and merge by convolutions; False for Swin-Unet's linear maps.
        dropout: of the convolutions.

    """

    def __init__(self, dim: int, blocks: nn.Sequential, convolutional: bool, dropout: float) -> None:
        super().__init__()
        self.upsample = ConvUpsample(dim, dropout) if convolutional else PatchExpand(2 * dim, dim, factor=2)
        self.merge = SkipConvolution(dim, dropout) if convolutional else nn.Linear(2 * dim, dim)
        self.blocks = blocks

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """(B, H, W, 2 * dim) and (B, 2H, 2W, dim) -> (B, 2H, 2W, dim)."""
        y: Tensor = self.blocks(self.merge(torch.cat([self.upsample(x), skip], dim=-1)))
        return y
