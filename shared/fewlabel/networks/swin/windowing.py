"""Maps of tokens cut into windows, written so that TorchScript compiles it for maps of any size."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def cut(side: int, window_size: int, shifted: bool = False) -> tuple[int, int, int]:
    """How an axis is cut: as few windows as ``window_size`` allows, none larger than its share.

    Args:
        side: tokens along the axis.
        window_size: largest window.
        shifted: move the windows by half their size, unless one covers the axis.

    Returns:
        Number of windows, their length, and the shift; the windows reach past the end where they do not fit.

    Example:
        >>> cut(56, 7, True), cut(8, 7, True), cut(7, 7, True)
        ((8, 7, 3), (2, 4, 2), (1, 7, 0))

    """
    count = (side + window_size - 1) // window_size
    length = (side + count - 1) // count
    return count, length, length // 2 if shifted and count > 1 else 0


def to_windows(x: Tensor, window_size: int, shifted: bool) -> Tensor:
    """(B, H, W, C) -> (B * windows, h, w, C): padded with zeros at the end, shifted cyclically, cut."""
    rows, high, down = cut(x.shape[1], window_size, shifted)
    columns, wide, right = cut(x.shape[2], window_size, shifted)
    below = rows * high - x.shape[1]
    beside = columns * wide - x.shape[2]
    if below + beside > 0:
        x = F.pad(x, [0, 0, 0, beside, 0, below])
    if down + right > 0:
        x = x.roll([-down, -right], [1, 2])
    x = x.reshape(-1, rows, high, columns, wide, x.shape[3]).transpose(2, 3)
    return x.reshape(-1, high, wide, x.shape[5])


def to_map(windows: Tensor, height: int, width: int, window_size: int, shifted: bool) -> Tensor:
    """(B * windows, h, w, C) -> (B, height, width, C): undoes :func:`to_windows`."""
    rows, high, down = cut(height, window_size, shifted)
    columns, wide, right = cut(width, window_size, shifted)
    x = windows.reshape(-1, rows, columns, high, wide, windows.shape[3]).transpose(2, 3)
    x = x.reshape(-1, rows * high, columns * wide, windows.shape[3])
    if down + right > 0:
        x = x.roll([down, right], [1, 2])
    return x[:, :height, :width]


def regions(height: int, width: int, window_size: int, shifted: bool, device: torch.device) -> Tensor:
    """(windows, n): which part of the map each token of a window is from, -1 for padding.

    Tokens of a window belong together where their numbers are equal: the cyclic shift brings tokens from the other
    side of the map into a window (Liu et al., "Swin Transformer", ICCV 2021, section 3.2). All padding has one number,
    so that no row of a softmax is empty.
    """
    rows, high, down = cut(height, window_size, shifted)
    columns, wide, right = cut(width, window_size, shifted)
    row = torch.arange(rows * high, device=device) + down
    column = torch.arange(columns * wide, device=device) + right
    region = 2 * (row >= rows * high).long()[:, None] + (column >= columns * wide).long()[None, :]
    outside = (row % (rows * high) >= height)[:, None] | (column % (columns * wide) >= width)[None, :]
    region = region.masked_fill(outside, -1)
    return region.view(rows, high, columns, wide).transpose(1, 2).reshape(rows * columns, high * wide)


def relative_index(high: int, wide: int, window_size: int, device: torch.device) -> Tensor:
    """(n * n,): row of a table of (2 * window_size - 1) ** 2 offsets for each pair of a window's n tokens."""
    row = torch.arange(high, device=device)[:, None].expand(high, wide).flatten()
    column = torch.arange(wide, device=device)[None, :].expand(high, wide).flatten()
    down = row[:, None] - row[None, :] + window_size - 1
    right = column[:, None] - column[None, :] + window_size - 1
    return (down * (2 * window_size - 1) + right).flatten()
