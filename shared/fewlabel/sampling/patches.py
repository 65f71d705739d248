"""Cut maps into patches and deal them out into groups (thesis ch. 4, "Cross Supervised Sampling")."""

from __future__ import annotations

import torch
from torch import Tensor

COVERAGES = ("whole", "floor", "released")


def patch_starts(size: int, patch: int, coverage: str = "whole") -> list[int]:
    """Return where the patches along one side of a map begin.

    Args:
        size: pixels along the side.
        patch: pixels along a patch's side.
        coverage: "whole" takes as many patches as it needs to reach every pixel, evenly spread, so that neighbors
            overlap by a few pixels where ``patch`` does not divide ``size``. "floor" takes as many as fit side by
            side. "released" takes one fewer, as the released MCSC code does: of a 28-pixel map with 14-pixel
            patches it sees the top left quarter only.

    Raises:
        ValueError: the patch is larger than the map, or the coverage unknown.

    >>> patch_starts(28, 14)
    [0, 14]
    >>> patch_starts(32, 14)
    [0, 9, 18]
    >>> patch_starts(28, 14, "released")
    [0]
    """
    if coverage not in COVERAGES:
        raise ValueError(f"coverage must be one of {COVERAGES}, got {coverage!r}")
    if not 0 < patch <= size:
        raise ValueError(
            f"a patch of {patch} pixels does not fit into a map of {size}: give a patch size from 1 to {size}"
        )
    if coverage != "whole":
        count = max(size // patch - (coverage == "released"), 1)
        return [patch * k for k in range(count)]
    count = -(-size // patch)
    return [round(k * (size - patch) / (count - 1)) for k in range(count)] if count > 1 else [0]


def patch_corners(height: int, width: int, patch: int, coverage: str = "whole") -> Tensor:
    """Return the top left corners (m, 2) of a map's patches, row by row; see :func:`patch_starts`."""
    rows = patch_starts(height, patch, coverage)
    columns = patch_starts(width, patch, coverage)
    return torch.cartesian_prod(torch.tensor(rows), torch.tensor(columns))


def deal_patches(num_maps: int, num_patches: int, generator: torch.Generator | None = None) -> Tensor:
    """Return which patch of each map goes into which group, (groups, maps); as many groups as patches.

    Each map's patches are shuffled on their own; group g gets the g-th of every map. So a group compares different
    places of different slices, and all groups together use every patch once. The first groups are a random subset.

    Args:
        num_maps: maps.
        num_patches: patches per map.
        generator: source of randomness on the CPU; None for PyTorch's own.
    """
    return torch.stack([torch.randperm(num_patches, generator=generator) for _ in range(num_maps)], dim=1)


def cut_patches(maps: Tensor, corners: Tensor, patch: int) -> Tensor:
    """Return patches (groups, maps, C, patch, patch) of maps (maps, C, H, W).

    Args:
        maps: feature maps or labels.
        corners: top left corner of each group's patch of each map, (groups, maps, 2).
        patch: pixels along a patch's side.
    """
    offsets = torch.arange(patch, device=maps.device)
    rows = (corners[..., 0, None].to(maps.device) + offsets)[:, :, :, None]
    columns = (corners[..., 1, None].to(maps.device) + offsets)[:, :, None, :]
    which = torch.arange(len(maps), device=maps.device)[None, :, None, None]
    # indexing the channels-last view gathers whole pixels: (groups, maps, patch, patch, C)
    return maps.movedim(1, -1)[which, rows, columns].movedim(-1, 2)
