"""CS-UNet: a U-Net of convolutional Swin Transformer blocks, trained from scratch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from fewlabel.networks.cs_blocks import CSBlock, DecoderStage, EncoderStage
from fewlabel.networks.feed_forward import FEED_FORWARDS
from fewlabel.networks.swin_unet import PATCH, PatchExpand
from fewlabel.networks.token_embedding import ConvTokenEmbedding, LinearTokenEmbedding
from fewlabel.networks.token_layers import NORMS
from fewlabel.switches import reads_switches


class CSUNet(nn.Module):
    """CS-UNet, the fully supervised Transformer that needs no pre-training.

    Thesis chapter 3; Liu et al., "Optimizing vision transformers for medical image segmentation", ICASSP 2023. A
    Swin-Unet whose embedding, projections, feed-forward, upsampling and skip connections are convolutions, without any
    encoding of positions. It has 24,690,576 parameters for nine classes (24,690,096 for four): the 24,690,582 of the
    released code less the six of a LayerNorm that the code never applies. At 224 px every map is made of whole 7 x 7
    windows; other sides get smaller windows (:mod:`fewlabel.networks.windows`) with the same weights.

    The rows of thesis table 3.3, by what differs from the defaults, method 6:

    =======  ==========================================================================================
    method   arguments
    =======  ==========================================================================================
    0        conv_embedding=False and those of method 1: Swin-Unet
    1        conv_projection=False and those of method 2
    2        position_bias=True, conv_output=False, feed_forward="linear", conv_skip=False
    3        feed_forward="linear", conv_skip=False
    4        conv_skip=False
    5        position_bias=True
    =======  ==========================================================================================

    The rows of table 3.4: feed_forward="convolution", "residual", "preactivation", "resnext".

    Args:
        in_channels: 1 (the gray image is repeated to three channels, as in the released code) or 3.
        num_classes: K, background included.
        img_size: side, or height and width, the network is meant for; a check only, since no weight depends on it.
        embed_dim: channels of the finest tokens, doubled at each stage.
        depths: blocks per encoder stage, finest first; the decoder mirrors them, its coarsest map excepted.
        num_heads: heads per stage; each must divide the stage's channels.
        window_size: largest attention window in tokens.
        drop_path: stochastic depth, rising linearly from 0 over the encoder's blocks; the decoder mirrors it.
        dropout: after embedding, upsampling and skip convolutions.
        layer_scale: start of the feed-forward's LayerScale: 0.7 in the released code, 1e-6 in the thesis, None without.
        head_kernel_size: 1 (without bias, as published) or 3 (with bias, Xavier normal, as MCSC's Transformer).
        conv_embedding: convolutional token embedding (Emb); False for Swin's.
        conv_projection: convolutional queries, keys and values (Proj); False for linear ones.
        conv_output: a convolution after the attention (Att); False for a linear map.
        position_bias: Swin's relative position bias (Pos).
        feed_forward: "depthwise" (DSF), "linear" (Swin's), or one of table 3.4.
        conv_skip: convolutional upsampling and skip convolutions (SC); False for Swin-Unet's linear maps.
        norm: "layer", or "batch" in convolutional projections and feed-forwards, which the thesis found weaker.
        pretrained_path: None; there are no published weights. It is here so that configs can exchange Transformers.

    Attributes:
        feature_channels: channels of the decoder's maps by stride, {16: 384, 8: 192, 4: 96, 1: 96} by default.
        head: convolution from the full-resolution map to the logits.

    Raises:
        ValueError: if an argument does not fit.

    Example:
        >>> import torch
        >>> network = CSUNet(num_classes=2, img_size=64, embed_dim=12).eval()
        >>> network(torch.zeros(1, 1, 64, 96)).shape
        torch.Size([1, 2, 64, 96])

    """

    @reads_switches
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
        dropout: float = 0.2,
        layer_scale: float | None = 0.7,
        head_kernel_size: int = 1,
        conv_embedding: bool = True,
        conv_projection: bool = True,
        conv_output: bool = True,
        position_bias: bool = False,
        feed_forward: str = "depthwise",
        conv_skip: bool = True,
        norm: str = "layer",
        pretrained_path: str | Path | None = None,
    ) -> None:
        super().__init__()
        dims = [embed_dim * 2**i for i in range(len(depths))]
        _check_stages(dims, depths, num_heads, window_size)
        _check_options(in_channels, head_kernel_size, layer_scale, feed_forward, norm, pretrained_path)
        self.in_channels = in_channels
        self.stride = PATCH * 2 ** (len(depths) - 1)
        self._check_sides(*((img_size, img_size) if isinstance(img_size, int) else img_size))
        block = partial(
            CSBlock, window_size=window_size, layer_scale=layer_scale, kind=feed_forward, norm=norm,
            conv_projection=conv_projection, conv_output=conv_output, position_bias=position_bias,
        )  # fmt: skip

        def blocks(stage: int) -> nn.Sequential:
            first, last = sum(depths[:stage]), max(1, sum(depths) - 1)
            return nn.Sequential(
                *(
                    block(dims[stage], num_heads[stage], shifted=bool(i % 2), drop_path=drop_path * (first + i) / last)
                    for i in range(depths[stage])
                )
            )

        coarsest = len(depths) - 1
        self.embedding = (
            ConvTokenEmbedding(3, embed_dim, dropout) if conv_embedding else LinearTokenEmbedding(3, embed_dim)
        )
        self.encoder = nn.ModuleList(
            EncoderStage(dim, blocks(stage), downsample=stage < coarsest) for stage, dim in enumerate(dims)
        )
        self.norm = nn.LayerNorm(dims[-1])
        self.decoder = nn.ModuleList(
            DecoderStage(dims[stage], blocks(stage), conv_skip, dropout) for stage in reversed(range(coarsest))
        )
        self.norm_up = nn.LayerNorm(embed_dim)
        self.expand = PatchExpand(embed_dim, embed_dim, factor=PATCH)
        self.head = nn.Conv2d(
            embed_dim, num_classes, head_kernel_size, padding=head_kernel_size // 2, bias=head_kernel_size > 1
        )
        self.apply(_initialize)
        if head_kernel_size > 1:
            nn.init.xavier_normal_(self.head.weight)
        channels = {PATCH * 2**i: dims[i] for i in reversed(range(coarsest))}
        self.feature_channels = channels | {1: embed_dim}

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
        x = self.embedding(x.expand(-1, 3, -1, -1))
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
            raise ValueError(f"CSUNet expects images (B, {self.in_channels}, H, W), got {tuple(x.shape)}.")
        self._check_sides(*x.shape[2:])

    @torch.jit.unused
    def _check_sides(self, *sides: int) -> None:
        if len(sides) != 2 or any(side < self.stride or side % self.stride for side in sides):
            raise ValueError(
                f"CSUNet needs a height and a width that are multiples of {self.stride}, got {tuple(sides)}; "
                "resize or pad the image."
            )


def _initialize(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Conv2d):
        nn.init.trunc_normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)


def _check_stages(dims: Sequence[int], depths: Sequence[int], num_heads: Sequence[int], window_size: int) -> None:
    if len(depths) < 2 or len(depths) != len(num_heads):
        raise ValueError(
            f"depths and num_heads need one entry per stage, at least two; got {tuple(depths)} and {tuple(num_heads)}."
        )
    if any(dim % 2 or dim % heads for dim, heads in zip(dims, num_heads, strict=True)):
        raise ValueError(f"num_heads {tuple(num_heads)} must divide the stages' channels {tuple(dims)}, all even.")
    if window_size < 1:
        raise ValueError(f"window_size must be at least 1 token, got {window_size}.")


def _check_options(
    in_channels: int,
    head_kernel_size: int,
    layer_scale: float | None,
    feed_forward: str,
    norm: str,
    pretrained_path: str | Path | None,
) -> None:
    if in_channels not in (1, 3):
        raise ValueError(f"in_channels must be 1 (gray, repeated) or 3, got {in_channels}.")
    if head_kernel_size not in (1, 3):
        raise ValueError(f"head_kernel_size must be 1 or 3, got {head_kernel_size}.")
    if layer_scale is not None and not layer_scale > 0:
        raise ValueError(f"layer_scale must be positive, or None for none, got {layer_scale}.")
    if feed_forward not in FEED_FORWARDS:
        raise ValueError(f"feed_forward must be one of {FEED_FORWARDS}, got {feed_forward!r}.")
    if norm not in NORMS:
        raise ValueError(f"norm must be one of {NORMS}, got {norm!r}.")
    if pretrained_path is not None:
        raise ValueError(
            f"CS-UNet starts at random: no published weights fit it, and {str(pretrained_path)!r} cannot be loaded; "
            "leave pretrained_path at null."
        )
