"""Self-attention in shifted windows whose queries, keys and values are convolved inside the window."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewlabel.networks.cs_unet.token_layers import TokenConv, token_norm
from fewlabel.networks.swin.windowing import cut, regions, relative_index, to_map, to_windows


class ConvProjection(nn.Module):
    """Queries, keys and values by three 3x3 depthwise convolutions inside each window, each followed by a norm.

    Args:
        dim: channels of a token.
        norm: "layer", or "batch" as in the convolutional projections that the thesis compares with.

    """

    def __init__(self, dim: int, norm: str) -> None:
        super().__init__()
        self.query = _depthwise(dim, norm)
        self.key = _depthwise(dim, norm)
        self.value = _depthwise(dim, norm)

    def forward(self, windows: Tensor) -> list[Tensor]:
        """(B * windows, h, w, dim) -> three of the same shape; beyond a window's border is zero."""
        return [self.query(windows), self.key(windows), self.value(windows)]


def _depthwise(dim: int, norm: str) -> nn.Sequential:
    return nn.Sequential(TokenConv(dim, dim, 3, groups=dim, bias=False), token_norm(norm, dim))


class LinearProjection(nn.Module):
    """Queries, keys and values by linear maps, as in Swin."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(dim, 3 * dim)

    def forward(self, windows: Tensor) -> list[Tensor]:
        """(B * windows, h, w, dim) -> three of the same shape."""
        query, key, value = self.qkv(windows).chunk(3, dim=-1)
        return [query, key, value]


class ConvWindowAttention(nn.Module):
    r"""(Shifted) window based convolutional multi-head self-attention.

    .. math:: \mathrm{softmax}(q k^T / \sqrt d + B) v, \quad q, k, v = LN(DepthConv(Window(x)))

    Thesis eq. 3.5, with d the channels of a head. The heads' outputs go through another 3x3 depthwise convolution
    inside the window and, in the released code, GELU. The thesis' best network has no B. A map that one window covers
    is not shifted.

    In a shifted window the mask keeps attention from linking opposite borders of the map. The convolutions are not
    masked, as in the released code: in the windows that the cyclic shift joins from two borders they see both.

    Args:
        dim: channels of a token.
        num_heads: heads; must divide ``dim``.
        window_size: largest window.
        shifted: move the windows by half their size.
        conv_projection: convolve queries, keys and values; False for Swin's linear maps.
        conv_output: convolve the heads' outputs; False for Swin's linear map.
        position_bias: learn B, one number for each head and offset, as Swin does.
        norm: of the convolved queries, keys and values, "layer" or "batch".

    """

    if TYPE_CHECKING:  # TorchScript cannot read it
        relative_position_bias_table: Tensor | None

    def __init__(
        self,
        dim: int,
        num_heads: int,
        window_size: int,
        shifted: bool,
        conv_projection: bool = True,
        conv_output: bool = True,
        position_bias: bool = False,
        norm: str = "layer",
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.window_size = window_size
        self.shifted = shifted
        self.projection = ConvProjection(dim, norm) if conv_projection else LinearProjection(dim)
        self.output = (
            nn.Sequential(TokenConv(dim, dim, 3, groups=dim, bias=False), nn.GELU())
            if conv_output
            else nn.Linear(dim, dim)
        )
        table = nn.Parameter(torch.zeros((2 * window_size - 1) ** 2, num_heads)) if position_bias else None
        if table is not None:
            nn.init.trunc_normal_(table, std=0.02)
        self.register_parameter("relative_position_bias_table", table)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, dim) -> (B, H, W, dim), any H and W."""
        batch, height, width, dim = x.shape
        rows, high, down = cut(height, self.window_size, self.shifted)
        columns, wide, right = cut(width, self.window_size, self.shifted)
        padded = rows * high + columns * wide > height + width
        windows = to_windows(x, self.window_size, self.shifted)
        query, key, value = [self._to_heads(part) for part in self.projection(windows)]
        table = self.relative_position_bias_table
        if padded or down + right > 0:
            region = regions(height, width, self.window_size, self.shifted, x.device)
            visible = (region[:, :, None] == region[:, None, :])[:, None]
            if table is not None:
                mask = self._bias(table, high, wide).masked_fill(~visible, float("-inf")).repeat(batch, 1, 1, 1)
            else:
                mask = visible.repeat(batch, 1, 1, 1)
            merged = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        elif table is not None:
            merged = F.scaled_dot_product_attention(query, key, value, attn_mask=self._bias(table, high, wide))
        else:
            merged = F.scaled_dot_product_attention(query, key, value)
        merged = merged.transpose(1, 2).reshape(-1, high, wide, dim)
        if padded:  # what padding attended to must not leak into its neighbors through the convolution
            inside = regions(height, width, self.window_size, self.shifted, x.device) >= 0
            merged = merged * inside.view(-1, high, wide, 1).repeat(batch, 1, 1, 1)
        return to_map(self.output(merged), height, width, self.window_size, self.shifted)

    def _to_heads(self, part: Tensor) -> Tensor:
        """(B * windows, h, w, dim) -> (B * windows, heads, n, d), without a copy."""
        return part.reshape(part.shape[0], -1, self.num_heads, part.shape[3] // self.num_heads).transpose(1, 2)

    def _bias(self, table: Tensor, high: int, wide: int) -> Tensor:
        """(1, heads, n, n), B for the pairs of a window's tokens."""
        index = relative_index(high, wide, self.window_size, table.device)
        return table[index].view(1, high * wide, high * wide, self.num_heads).permute(0, 3, 1, 2)
