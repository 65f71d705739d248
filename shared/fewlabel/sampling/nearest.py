"""Read full-resolution maps on the grid of coarser ones."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor


def nearest_pixels(maps: Tensor, strides: Sequence[int]) -> Tensor:
    """Of each cell of a coarser grid, take the pixel beside its center, as nearest-neighbor resizing does.

    Args:
        maps: ``(..., *spatial)`` at full resolution, labels for instance.
        strides: pixels of a cell along each spatial axis, the last axes of the maps.

    Returns:
        ``(..., *coarse)``, a view; what is left at the end of a side counts if it reaches its cell's center.

    Example:
        >>> import torch
        >>> nearest_pixels(torch.arange(8).view(1, 8), strides=[4]).tolist()
        [[2, 6]]

    """
    all_others = [slice(None)] * (maps.ndim - len(strides))
    centers = [slice(stride // 2, None, stride) for stride in strides]
    return maps[(*all_others, *centers)]
