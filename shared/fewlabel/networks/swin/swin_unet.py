"""Swin-Unet: a U-Net whose blocks are Swin Transformer blocks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from monai.networks.blocks import PatchEmbed
from monai.networks.nets.swin_unetr import PatchMerging
from torch import Tensor, nn

from fewlabel.networks.swin.pretrained import load_pretrained_swin
from fewlabel.networks.swin.token_unet import PATCH, PatchExpand, TokenUNet, rising_rates, token_head
from fewlabel.networks.swin.window_attention import SwinBlock


def _blocks(dim: int, num_heads: int, window_size: int, drop_paths: Sequence[float]) -> nn.Sequential:
    return nn.Sequential(
        *(SwinBlock(dim, num_heads, window_size, shifted=bool(i % 2), drop_path=p) for i, p in enumerate(drop_paths))
    )


class EncoderStage(nn.Module):
    """Swin blocks at one resolution; ``downsample`` (absent in the last stage) leads to the next."""

    def __init__(
        self, dim: int, num_heads: int, window_size: int, drop_paths: Sequence[float], downsample: bool
    ) -> None:
        super().__init__()
        self.blocks = _blocks(dim, num_heads, window_size, drop_paths)
        self.downsample = PatchMerging(dim, spatial_dims=2) if downsample else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, dim) -> (B, H / 2, W / 2, 2 * dim), or the same shape in the last stage."""
        y: Tensor = self.downsample(self.blocks(x))
        return y


class DecoderStage(nn.Module):
    """Expands the coarser map, merges the encoder's map by a linear layer, and applies Swin blocks."""

    def __init__(self, dim: int, num_heads: int, window_size: int, drop_paths: Sequence[float]) -> None:
        super().__init__()
        self.upsample = PatchExpand(2 * dim, dim, factor=2)
        self.merge = nn.Linear(2 * dim, dim)
        self.blocks = _blocks(dim, num_heads, window_size, drop_paths)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """(B, H, W, 2 * dim) and (B, 2H, 2W, dim) -> (B, 2H, 2W, dim)."""
        y: Tensor = self.blocks(self.merge(torch.cat([self.upsample(x), skip], dim=-1)))
        return y


class SwinUnet(TokenUNet):
    """Swin-Unet, the Transformer of cross teaching and its successors.

    Cao et al., "Swin-Unet", ECCV Workshops 2022, built of the blocks of Liu et al., "Swin Transformer", ICCV 2021;
    27,168,420 parameters for four classes. At 224 px every map is made of whole 7 x 7 windows. Other sides work as
    well (see :func:`fewlabel.networks.swin.window_attention.window_layout`), with the same weights.

    Args:
        in_channels: of the image; one channel is repeated to three, which ImageNet weights expect. With another number
            than 1 or 3 the first layer alone starts at random.
        num_classes: K, background included.
        img_size: side, or height and width, the network is meant for; a check only, since no weight depends on it.
        embed_dim: channels of the finest tokens, doubled at each stage.
        depths: blocks per encoder stage, finest first; the decoder mirrors them, its coarsest map excepted.
        num_heads: heads per stage; each must divide the stage's channels.
        window_size: largest attention window in tokens.
        drop_path: stochastic depth, rising linearly from 0 over the encoder's blocks; the decoder mirrors it.
        head_kernel_size: 1 (without bias, as published for Swin-Unet) or 3 (with bias, Xavier normal, as in MCSC).
        pretrained_path: weights for the encoder and, where shapes match, the decoder: a file, a folder, or a hub id;
            see :func:`fewlabel.networks.load_pretrained_swin`. None starts at random.

    Attributes:
        feature_channels: channels of the decoder's maps by stride, {16: 384, 8: 192, 4: 96, 1: 96} by default.
        head: convolution from the full-resolution map to the logits.

    Raises:
        ValueError: if an argument does not fit.

    Example:
        >>> import torch
        >>> network = SwinUnet(num_classes=2, img_size=64, embed_dim=12).eval()
        >>> network(torch.zeros(1, 1, 64, 96)).shape
        torch.Size([1, 2, 64, 96])
        >>> {stride: tuple(tap.shape) for stride, tap in network.features(torch.zeros(1, 1, 64, 64)).items()}
        {16: (1, 48, 4, 4), 8: (1, 24, 8, 8), 4: (1, 12, 16, 16), 1: (1, 12, 64, 64)}

    """

    def __init__(
        self,
        in_channels: int = 1,
        num_classes: int = 4,
        img_size: int | Sequence[int] = 224,
        embed_dim: int = 96,
        depths: Sequence[int] = (2, 2, 2, 2),
        num_heads: Sequence[int] = (3, 6, 12, 24),
        window_size: int = 7,
        drop_path: float = 0.2,
        head_kernel_size: int = 1,
        pretrained_path: str | Path | None = None,
    ) -> None:
        super().__init__(in_channels, img_size, embed_dim, depths, num_heads, head_kernel_size)
        rates = rising_rates(drop_path, depths)
        coarsest = len(depths) - 1
        self.patch_embed = PatchEmbed(PATCH, self.embedded_channels, embed_dim, nn.LayerNorm, spatial_dims=2)
        self.encoder = nn.ModuleList()
        for stage, dim in enumerate(self.dims):
            downsample = stage < coarsest
            self.encoder.append(EncoderStage(dim, num_heads[stage], window_size, rates[stage], downsample))
        self.norm = nn.LayerNorm(self.dims[-1])
        self.decoder = nn.ModuleList()
        for stage in reversed(range(coarsest)):
            self.decoder.append(DecoderStage(self.dims[stage], num_heads[stage], window_size, rates[stage]))
        self.norm_up = nn.LayerNorm(embed_dim)
        self.expand = PatchExpand(embed_dim, embed_dim, factor=PATCH)
        self.apply(_initialize)
        self.head = token_head(embed_dim, num_classes, head_kernel_size)
        if head_kernel_size > 1:
            nn.init.xavier_normal_(self.head.weight)
        if pretrained_path is not None:
            load_pretrained_swin(self, pretrained_path)

    def embed(self, x: Tensor) -> Tensor:
        """Image (B, embedded_channels, H, W) -> tokens (B, H / 4, W / 4, embed_dim)."""
        y: Tensor = self.patch_embed(x).permute(0, 2, 3, 1)
        return y


def _initialize(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
