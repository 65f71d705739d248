"""Self-attention in shifted windows, for maps of any size."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from monai.networks.blocks import MLPBlock
from monai.networks.layers import DropPath
from torch import Tensor, nn

from fewlabel.networks.swin.windowing import cut, regions, relative_index


@dataclass(frozen=True)
class WindowLayout:
    """How a map of tokens is cut into windows.

    Attributes:
        window: height and width of a window.
        grid: number of windows along each axis.
        shift: cyclic shift before the cut; 0 along an axis that one window covers.
        padding: rows and columns added at the end so that whole windows fit.
        index: (n * n,), row of the relative position table for each pair of the n tokens of a window.
        mask: (windows, 1, n, n), 0 where a token may look at another and -inf where not; None if all may.

    """

    window: tuple[int, int]
    grid: tuple[int, int]
    shift: tuple[int, int]
    padding: tuple[int, int]
    index: Tensor
    mask: Tensor | None


@lru_cache(maxsize=256)
def window_layout(height: int, width: int, window_size: int, shifted: bool, device: torch.device) -> WindowLayout:
    """The layout with as few windows as ``window_size`` allows, and no window larger than its share of the map.

    Along an axis of n tokens there are g = ceil(n / window_size) windows of ceil(n / g) tokens. Where window_size
    divides n, as at 224 px, this is Swin's own layout (Liu et al., ICCV 2021, section 3.2). Elsewhere the windows
    shrink (8 tokens make two windows of 4, not two of 7 with six tokens of padding), and every pair of tokens still
    reads the bias of its true offset. What padding remains is masked.

    Args:
        height: rows of tokens.
        width: columns of tokens.
        window_size: largest window, which sets the size of the relative position table.
        shifted: move the windows by half their size.
        device: where the tensors of the layout live.

    Example:
        >>> window_layout(8, 16, 7, True, torch.device("cpu")).window
        (4, 6)

    """
    rows, high, down = cut(height, window_size, shifted)
    columns, wide, right = cut(width, window_size, shifted)
    padding = (rows * high - height, columns * wide - width)
    # The cache outlives an inference_mode block, and tensors made inside one could never be used in training.
    with torch.inference_mode(False), torch.no_grad():
        index = relative_index(high, wide, window_size, device)
        mask = None
        if any((down, right, *padding)):
            region = regions(height, width, window_size, shifted, device)[:, None]
            blocked = region[..., :, None] != region[..., None, :]
            mask = torch.zeros(blocked.shape, device=device).masked_fill_(blocked, float("-inf"))
    return WindowLayout((high, wide), (rows, columns), (down, right), padding, index, mask)


class WindowAttention(nn.Module):
    """Multi-head self-attention inside windows, with a learned bias for each relative position.

    softmax(q k^T / sqrt(d) + B) v, Liu et al., "Swin Transformer", ICCV 2021, eq. 4.

    Args:
        dim: channels of a token.
        num_heads: heads; must divide ``dim``.
        window_size: largest window; the bias table has (2 * window_size - 1) ** 2 rows.
        shifted: move the windows by half their size.

    """

    def __init__(self, dim: int, num_heads: int, window_size: int, shifted: bool) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.window_size = window_size
        self.shifted = shifted
        self.scale = (dim // num_heads) ** -0.5
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window_size - 1) ** 2, num_heads))
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, dim) -> (B, H, W, dim), any H and W."""
        _, height, width, _ = x.shape
        layout = window_layout(height, width, self.window_size, self.shifted, x.device)
        query, key, value = self._to_windows(self.qkv(x), layout)
        n = layout.window[0] * layout.window[1]
        bias = self.relative_position_bias_table[layout.index].view(n, n, self.num_heads).permute(2, 0, 1)
        if layout.mask is not None:
            bias = bias + layout.mask
        # Written out: with a bias that wants a gradient scaled_dot_product_attention takes these same steps on a CPU.
        scores = (query * self.scale) @ key.transpose(-2, -1)
        attention = (scores + bias.to(scores.dtype)).softmax(dim=-1).to(value.dtype)
        merged: Tensor = self.proj(self._to_map(attention @ value, layout)[:, :height, :width])
        return merged

    def _to_windows(self, qkv: Tensor, layout: WindowLayout) -> Tensor:
        """(B, H, W, 3 * dim) -> (3, B, windows, heads, n, d): padded, shifted, and copied once."""
        if any(layout.padding):
            qkv = F.pad(qkv, (0, 0, 0, layout.padding[1], 0, layout.padding[0]))
        if any(layout.shift):
            qkv = qkv.roll((-layout.shift[0], -layout.shift[1]), dims=(1, 2))
        rows, columns = layout.grid
        high, wide = layout.window
        qkv = qkv.view(-1, rows, high, columns, wide, 3, self.num_heads, qkv.shape[-1] // (3 * self.num_heads))
        return qkv.permute(5, 0, 1, 3, 6, 2, 4, 7).reshape(
            3, -1, rows * columns, self.num_heads, high * wide, qkv.shape[-1]
        )

    def _to_map(self, windows: Tensor, layout: WindowLayout) -> Tensor:
        """(B, windows, heads, n, d) -> (B, H, W, dim) with the padding still there."""
        rows, columns = layout.grid
        high, wide = layout.window
        x = windows.view(-1, rows, columns, self.num_heads, high, wide, windows.shape[-1])
        x = x.permute(0, 1, 4, 2, 5, 3, 6).reshape(len(windows), rows * high, columns * wide, -1)
        return x.roll(layout.shift, dims=(1, 2)) if any(layout.shift) else x


class SwinBlock(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)), each branch dropped at random per image in training.

    Liu et al., "Swin Transformer", ICCV 2021, eq. 3.

    Args:
        dim: channels of a token.
        num_heads: heads of the attention.
        window_size: largest window.
        shifted: move the windows by half their size.
        drop_path: probability of dropping a branch.
        mlp_ratio: hidden width of the MLP over ``dim``.

    """

    def __init__(
        self, dim: int, num_heads: int, window_size: int, shifted: bool, drop_path: float, mlp_ratio: int = 4
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, num_heads, window_size, shifted)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = MLPBlock(dim, mlp_ratio * dim, dropout_mode="swin")
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, dim) -> (B, H, W, dim)."""
        x = x + self.drop_path(self.attn(self.norm1(x)))
        y: Tensor = x + self.drop_path(self.mlp(self.norm2(x)))
        return y
