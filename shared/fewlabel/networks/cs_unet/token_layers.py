"""Layers for maps of tokens (B, H, W, C): convolution, normalization, stochastic depth."""

from __future__ import annotations

from torch import Tensor, nn

NORMS = ("layer", "batch")


class TokenConv(nn.Module):
    """A convolution that keeps tokens channels last and, at stride 1, their number.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: odd side of the kernel.
        stride: step of the kernel.
        groups: ``in_channels`` for a depthwise convolution.
        bias: learn an additive bias.

    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, groups: int = 1, bias: bool = True
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2, groups=groups, bias=bias
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, in_channels) -> (B, H / stride, W / stride, out_channels)."""
        y: Tensor = self.conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return y


class TokenBatchNorm(nn.Module):
    """Batch normalization of tokens: per channel, over batch and positions."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, dim) -> (B, H, W, dim)."""
        y: Tensor = self.norm(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return y


def token_norm(norm: str, dim: int, eps: float = 1e-5) -> nn.Module:
    """LayerNorm over a token's channels, or batch normalization: "layer" or "batch"."""
    return nn.LayerNorm(dim, eps=eps) if norm == "layer" else TokenBatchNorm(dim)


class StochasticDepth(nn.Module):
    """Drops a residual branch at random per image in training and scales the others up, so that the mean stays.

    Huang et al., "Deep networks with stochastic depth", ECCV 2016. MONAI's ``DropPath`` does the same, but TorchScript
    cannot compile it.

    Args:
        rate: probability of dropping, in [0, 1).

    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C)."""
        if not self.training or self.rate == 0.0:
            return x
        keep = 1.0 - self.rate
        return x * (x.new_empty([x.shape[0], 1, 1, 1]).bernoulli_(keep) / keep)
