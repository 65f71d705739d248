"""CS-UNet: a U-Net of convolutional Swin Transformer blocks, trained from scratch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from torch import Tensor, nn

from fewlabel.networks.cs_unet.blocks import CSBlock, DecoderStage, EncoderStage
from fewlabel.networks.cs_unet.feed_forward import FEED_FORWARDS
from fewlabel.networks.cs_unet.token_embedding import ConvTokenEmbedding, LinearTokenEmbedding
from fewlabel.networks.cs_unet.token_layers import NORMS
from fewlabel.networks.swin.token_unet import PATCH, PatchExpand, TokenUNet, rising_rates, token_head
from fewlabel.parsing import parse_arguments


class CSUNet(TokenUNet):
    """CS-UNet, the fully supervised Transformer that needs no pre-training.

    Thesis chapter 3; Liu et al., "Optimizing vision transformers for medical image segmentation", ICASSP 2023. A
    Swin-Unet whose embedding, projections, feed-forward, upsampling and skip connections are convolutions, without any
    encoding of positions. It has 24,690,576 parameters for nine classes (24,690,096 for four): the 24,690,582 of the
    released code less the six of a LayerNorm that the code never applies. At 224 px every map is made of whole 7 x 7
    windows; other sides get smaller windows (:mod:`fewlabel.networks.swin.windowing`) with the same weights.

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
        in_channels: of the image; one channel is repeated to three, as in the released code.
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

    @parse_arguments
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
        super().__init__(in_channels, img_size, embed_dim, depths, num_heads, head_kernel_size)
        _check_options(embed_dim, window_size, layer_scale, feed_forward, norm, pretrained_path)
        block = partial(
            CSBlock, window_size=window_size, layer_scale=layer_scale, kind=feed_forward, norm=norm,
            conv_projection=conv_projection, conv_output=conv_output, position_bias=position_bias,
        )  # fmt: skip
        rates = rising_rates(drop_path, depths)
        self.embedding = _embedding(self.embedded_channels, embed_dim, dropout, conv_embedding)
        self.encoder = nn.ModuleList()
        coarsest = len(depths) - 1
        for stage, dim in enumerate(self.dims):
            blocks = _blocks(block, dim, num_heads[stage], rates[stage])
            self.encoder.append(EncoderStage(dim, blocks, downsample=stage < coarsest))
        self.norm = nn.LayerNorm(self.dims[-1])
        self.decoder = nn.ModuleList()
        for stage in reversed(range(coarsest)):
            blocks = _blocks(block, self.dims[stage], num_heads[stage], rates[stage])
            self.decoder.append(DecoderStage(self.dims[stage], blocks, conv_skip, dropout))
        self.norm_up = nn.LayerNorm(embed_dim)
        self.expand = PatchExpand(embed_dim, embed_dim, factor=PATCH)
        self.head = token_head(embed_dim, num_classes, head_kernel_size)
        self.apply(_initialize)
        if head_kernel_size > 1:
            nn.init.xavier_normal_(self.head.weight)

    def embed(self, x: Tensor) -> Tensor:
        """Image (B, embedded_channels, H, W) -> tokens (B, H / 4, W / 4, embed_dim)."""
        y: Tensor = self.embedding(x)
        return y


def _embedding(channels: int, dim: int, dropout: float, convolutional: bool) -> nn.Module:
    return ConvTokenEmbedding(channels, dim, dropout) if convolutional else LinearTokenEmbedding(channels, dim)


def _blocks(block: Callable[..., CSBlock], dim: int, num_heads: int, drop_paths: Sequence[float]) -> nn.Sequential:
    """One stage's blocks, every other one with shifted windows."""
    return nn.Sequential(
        *(block(dim, num_heads, shifted=bool(i % 2), drop_path=rate) for i, rate in enumerate(drop_paths))
    )


def _initialize(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Conv2d):
        nn.init.trunc_normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)


def _check_options(
    embed_dim: int,
    window_size: int,
    layer_scale: float | None,
    feed_forward: str,
    norm: str,
    pretrained_path: str | Path | None,
) -> None:
    if embed_dim % 2:
        raise ValueError(f"embed_dim must be even, since the embedding begins with half of it, got {embed_dim}.")
    if window_size < 1:
        raise ValueError(f"window_size must be at least 1 token, got {window_size}.")
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
