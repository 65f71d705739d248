"""Feed-forwards of CS-UNet's blocks: the depthwise separable one, and those it was compared with."""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from fewlabel.networks.cs_unet.token_layers import StochasticDepth, TokenConv, token_norm

CARDINALITY = 32


class DepthwiseFeedForward(nn.Module):
    """Depthwise separable feed-forward (DSF) with LayerScale and a residual connection.

    x + g * W2 GELU(W1 LN(DepthConv7x7(x))), W1 to four times the channels and W2 back: thesis section 3.3.1. The text
    of the thesis has three depthwise convolutions, its formula and the released code have this one.

    Args:
        dim: channels of a token.
        layer_scale: start of g (Touvron et al., "Going deeper with image transformers", ICCV 2021); None for none.
        norm: "layer" or "batch".

    """

    if TYPE_CHECKING:  # TorchScript cannot read it
        scale: Tensor | None

    def __init__(self, dim: int, layer_scale: float | None, norm: str) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            TokenConv(dim, dim, 7, groups=dim),
            token_norm(norm, dim, eps=1e-6),
            nn.Linear(dim, 4 * dim),  # a pointwise convolution
            nn.GELU(),
            nn.Linear(4 * dim, dim),
        )
        start = None if layer_scale is None else nn.Parameter(torch.full((dim,), layer_scale))
        self.register_parameter("scale", start)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, dim) -> (B, H, W, dim)."""
        y: Tensor = self.layers(x)
        scale = self.scale
        if scale is not None:
            y = scale * y
        return x + y


class LinearFeedForward(nn.Module):
    """Swin's: x + MLP(LN(x)), the branch dropped at random per image in training.

    Args:
        dim: channels of a token.
        drop_path: probability of dropping the branch.

    """

    def __init__(self, dim: int, drop_path: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
        self.drop_path = StochasticDepth(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, dim) -> (B, H, W, dim)."""
        y: Tensor = x + self.drop_path(self.mlp(self.norm(x)))
        return y


class ResidualFeedForward(nn.Module):
    """x + layers(x), then an activation unless the layers begin with one.

    Args:
        layers: of tokens, from ``dim`` channels to ``dim``.
        activation: follows the sum.

    """

    def __init__(self, layers: nn.Module, activation: nn.Module) -> None:
        super().__init__()
        self.layers = layers
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, dim) -> (B, H, W, dim)."""
        y: Tensor = self.activation(x + self.layers(x))
        return y


def _convolution(dim: int, norm: str) -> nn.Module:
    layers = nn.Sequential(TokenConv(dim, dim, 3, bias=False), token_norm(norm, dim), nn.GELU())
    return ResidualFeedForward(layers, nn.Identity())


def _residual(dim: int, norm: str) -> nn.Module:
    layers = nn.Sequential(
        TokenConv(dim, dim, 3, bias=False), token_norm(norm, dim), nn.ReLU(),
        TokenConv(dim, dim, 3, bias=False), token_norm(norm, dim),
    )  # fmt: skip
    return ResidualFeedForward(layers, nn.ReLU())


def _preactivation(dim: int, norm: str) -> nn.Module:
    layers = nn.Sequential(
        token_norm(norm, dim), nn.ReLU(), TokenConv(dim, dim, 3, bias=False),
        token_norm(norm, dim), nn.ReLU(), TokenConv(dim, dim, 3, bias=False),
    )  # fmt: skip
    return ResidualFeedForward(layers, nn.Identity())


def _resnext(dim: int, norm: str) -> nn.Module:
    half = dim // 2
    layers = nn.Sequential(
        TokenConv(dim, half, 1, bias=False), token_norm(norm, half), nn.ReLU(),
        # the published 32 groups, where they divide the channels
        TokenConv(half, half, 3, groups=gcd(CARDINALITY, half), bias=False), token_norm(norm, half), nn.ReLU(),
        TokenConv(half, dim, 1, bias=False), token_norm(norm, dim),
    )  # fmt: skip
    return ResidualFeedForward(layers, nn.ReLU())


_COMPARED = {
    "convolution": _convolution,
    "residual": _residual,
    "preactivation": _preactivation,
    "resnext": _resnext,
}
FEED_FORWARDS = ("depthwise", "linear", *_COMPARED)


def feed_forward(kind: str, dim: int, drop_path: float, layer_scale: float | None, norm: str) -> nn.Module:
    """One of ``FEED_FORWARDS``, residual connection included: thesis tables 3.3 and 3.4.

    "convolution" is a single 3x3 convolution; "residual", "preactivation" and "resnext" are the blocks of He et al.,
    CVPR 2016, He et al., ECCV 2016, and Xie et al., CVPR 2017, with ``norm`` for their batch normalization.

    Args:
        kind: which one; "depthwise" is CS-UNet's, "linear" is Swin's.
        dim: channels of a token.
        drop_path: stochastic depth of the linear one; the others have none, as the released code's.
        layer_scale: start of LayerScale in the depthwise one; None for none.
        norm: "layer" or "batch"; the linear one has LayerNorm.

    Returns:
        A module that maps (B, H, W, dim) to the same shape.

    """
    if kind == "depthwise":
        return DepthwiseFeedForward(dim, layer_scale, norm)
    if kind == "linear":
        return LinearFeedForward(dim, drop_path)
    return _COMPARED[kind](dim, norm)
