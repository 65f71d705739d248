"""Images and label maps that move along a displacement field."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def warp(images: Tensor, displacement: Tensor) -> Tensor:
    r"""Sample images where a field points to, linearly between pixels; beyond the border the nearest pixel counts.

    .. math:: (m \circ \Phi)(x) = m(x + u(x))

    M. Jaderberg et al., "Spatial transformer networks", NeurIPS 2015. It computes what ``monai.networks.blocks.Warp``
    does without MONAI's C++ extension. That block keeps the grid of its first call, whatever device and precision the
    next one has; this is a function of its arguments.

    Args:
        images: (B, C, H, W); probabilities sum to 1 afterwards where they did before.
        displacement: u in pixels, (B, 2, H, W): down, then to the right.

    Returns:
        (B, C, H, W); differentiable in both.

    Raises:
        ValueError: the shapes do not fit.

    >>> image = torch.arange(4.0).view(1, 1, 1, 4)
    >>> warp(image, torch.tensor([0.0, 1.0]).view(1, 2, 1, 1).expand(1, 2, 1, 4))
    tensor([[[[1., 2., 3., 3.]]]])
    """
    expected = (images.shape[0], 2, *images.shape[2:])
    if images.ndim != 4 or tuple(displacement.shape) != expected:
        raise ValueError(
            f"images (B, C, H, W) of shape {tuple(images.shape)} need a displacement (B, 2, H, W) for each pixel, got "
            f"{tuple(displacement.shape)}"
        )
    height, width = images.shape[2:]
    rows = torch.arange(height, device=displacement.device, dtype=displacement.dtype)[:, None] + displacement[:, 0]
    columns = torch.arange(width, device=displacement.device, dtype=displacement.dtype) + displacement[:, 1]
    # grid_sample wants the column first, and both in [-1, 1] from the first pixel's center to the last one's
    grid = torch.stack([columns * 2 / max(width - 1, 1) - 1, rows * 2 / max(height - 1, 1) - 1], dim=-1)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=True)
