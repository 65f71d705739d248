"""Images to tokens by convolutions with overlapping kernels."""

from __future__ import annotations

from torch import Tensor, nn

from fewlabel.networks.cs_unet.token_layers import TokenConv


class ConvTokenEmbedding(nn.Module):
    """Four 3x3 convolutions that quarter each side in two steps, instead of one linear map of separate patches.

    Thesis section 3.3.3: conv d/2, GELU, conv d/2 with stride 2, GELU, LayerNorm, conv d, GELU, conv d with stride 2,
    GELU. The dropout and the LayerNorm at the end are the released code's.

    Args:
        in_channels: channels of the image.
        dim: d, channels of a token.
        dropout: probability of zeroing an element of the output.

    """

    def __init__(self, in_channels: int, dim: int, dropout: float) -> None:
        super().__init__()
        half = dim // 2
        self.layers = nn.Sequential(
            TokenConv(in_channels, half, 3), nn.GELU(),
            TokenConv(half, half, 3, stride=2), nn.GELU(), nn.LayerNorm(half),
            TokenConv(half, dim, 3), nn.GELU(),
            TokenConv(dim, dim, 3, stride=2), nn.GELU(),
            nn.Dropout(dropout), nn.LayerNorm(dim),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Image (B, in_channels, H, W) -> tokens (B, H / 4, W / 4, dim)."""
        y: Tensor = self.layers(x.permute(0, 2, 3, 1))
        return y


class LinearTokenEmbedding(nn.Module):
    """Swin's embedding: separate patches of 4 x 4 pixels, one linear map, LayerNorm.

    Args:
        in_channels: channels of the image.
        dim: channels of a token.

    """

    def __init__(self, in_channels: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, dim, kernel_size=4, stride=4)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        """Image (B, in_channels, H, W) -> tokens (B, H / 4, W / 4, dim)."""
        y: Tensor = self.norm(self.proj(x).permute(0, 2, 3, 1))
        return y
