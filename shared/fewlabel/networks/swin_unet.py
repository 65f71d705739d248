"""Swin-Unet: a U-Net whose blocks are Swin Transformer blocks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from monai.networks.blocks import PatchEmbed
from monai.networks.nets.swin_unetr import PatchMerging
from torch import Tensor, nn

from fewlabel.networks.pretrained import load_pretrained_swin
from fewlabel.networks.window_attention import SwinBlock

PATCH = 4


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


class SwinUnet(nn.Module):
    """Swin-Unet, the Transformer of cross teaching and its successors.

    Cao et al., "Swin-Unet", ECCV Workshops 2022, built of the blocks of Liu et al., "Swin Transformer", ICCV 2021;
    27,168,420 parameters for four classes. At 224 px every map is made of whole 7 x 7 windows. Other sides work as
    well (see :func:`fewlabel.networks.window_attention.window_layout`), with the same weights.

    Args:
        in_channels: 1 (the gray image is repeated to three channels, which ImageNet weights expect) or 3.
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
        super().__init__()
        dims = [embed_dim * 2**i for i in range(len(depths))]
        _check_arguments(in_channels, dims, depths, num_heads, head_kernel_size)
        self.in_channels = in_channels
        self.stride = PATCH * 2 ** (len(depths) - 1)
        self._check_sides(*((img_size, img_size) if isinstance(img_size, int) else img_size))
        rising = iter(drop_path * i / max(1, sum(depths) - 1) for i in range(sum(depths)))
        rates = [[next(rising) for _ in range(depth)] for depth in depths]
        last = len(depths) - 1
        self.patch_embed = PatchEmbed(PATCH, 3, embed_dim, nn.LayerNorm, spatial_dims=2)
        self.encoder = nn.ModuleList(
            EncoderStage(dim, num_heads[i], window_size, rates[i], downsample=i < last) for i, dim in enumerate(dims)
        )
        self.norm = nn.LayerNorm(dims[-1])
        self.decoder = nn.ModuleList(
            DecoderStage(dims[i], num_heads[i], window_size, rates[i]) for i in reversed(range(last))
        )
        self.norm_up = nn.LayerNorm(embed_dim)
        self.expand = PatchExpand(embed_dim, embed_dim, factor=PATCH)
        self.apply(_initialize)
        self.head = nn.Conv2d(
            embed_dim, num_classes, head_kernel_size, padding=head_kernel_size // 2, bias=head_kernel_size > 1
        )
        if head_kernel_size > 1:
            nn.init.xavier_normal_(self.head.weight)
        self.feature_channels: dict[int, int] = {PATCH * 2**i: dims[i] for i in reversed(range(last))} | {1: embed_dim}
        if pretrained_path is not None:
            load_pretrained_swin(self, pretrained_path)

    def features(self, x: Tensor) -> dict[int, Tensor]:
        """The decoder's maps keyed by stride, coarsest first: the blocks' outputs, then the expanded map.

        Args:
            x: (B, in_channels, H, W), sides multiples of 32 by default.

        Returns:
            {stride: (B, feature_channels[stride], H / stride, W / stride)}; differentiable, channels last in memory.

        Raises:
            ValueError: if the shape does not fit.

        """
        if x.ndim != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"SwinUnet expects images (B, {self.in_channels}, H, W), got {tuple(x.shape)}.")
        self._check_sides(*x.shape[2:])
        x = self.patch_embed(x.expand(-1, 3, -1, -1)).permute(0, 2, 3, 1)
        skips: list[Tensor] = []
        for stage in self.encoder:
            skips.append(x)
            x = stage(x)
        x = self.norm(x)
        skips.pop()  # the coarsest map has no skip connection
        taps: dict[int, Tensor] = {}
        for stride, stage in zip(self.feature_channels, self.decoder, strict=False):
            x = stage(x, skips.pop())
            taps[stride] = x.permute(0, 3, 1, 2)
        taps[1] = self.expand(self.norm_up(x)).permute(0, 3, 1, 2)
        return taps

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> logits (B, num_classes, H, W)."""
        logits: Tensor = self.head(self.features(x)[1])
        return logits

    def _check_sides(self, *sides: int) -> None:
        if len(sides) != 2 or any(side < self.stride or side % self.stride for side in sides):
            raise ValueError(
                f"SwinUnet needs a height and a width that are multiples of {self.stride}, got {tuple(sides)}; "
                "resize or pad the image."
            )


def _initialize(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _check_arguments(
    in_channels: int, dims: Sequence[int], depths: Sequence[int], num_heads: Sequence[int], head_kernel_size: int
) -> None:
    if in_channels not in (1, 3):
        raise ValueError(f"in_channels must be 1 (gray, repeated) or 3, got {in_channels}.")
    if len(depths) < 2 or len(depths) != len(num_heads):
        raise ValueError(
            f"depths and num_heads need one entry per stage, at least two; got {tuple(depths)} and {tuple(num_heads)}."
        )
    if any(dim % heads for dim, heads in zip(dims, num_heads, strict=True)):
        raise ValueError(f"num_heads {tuple(num_heads)} must divide the stages' channels {tuple(dims)}.")
    if head_kernel_size not in (1, 3):
        raise ValueError(f"head_kernel_size must be 1 or 3, got {head_kernel_size}.")
