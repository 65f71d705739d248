"""Blur and loss of resolution, as one small matrix for each axis.

A product with a matrix of 128 rows costs no more than a narrow convolution, whatever the width of the blur, and two
filters along one axis are one matrix.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def blurring(size: int, sigma: Tensor) -> Tensor:
    """Return the matrices of Gaussian blurs; at the border what is outside has no weight.

    Args:
        size: pixels along the axis, n.
        sigma: standard deviations in pixels, of any shape (...); 0 for no blur.

    Returns:
        (..., n, n), whose rows sum to 1.

    >>> blurring(3, torch.tensor(0.0))
    tensor([[1., 0., 0.],
            [0., 1., 0.],
            [0., 0., 1.]])
    """
    places = torch.arange(size, dtype=torch.float32, device=sigma.device)
    distances = (places[:, None] - places) / sigma[..., None, None].float().clamp(min=1e-3)
    return _normalized(torch.exp(-0.5 * distances**2))


def coarsening(size: int, factor: float) -> Tensor:
    """Return the matrix (n, n) that averages n pixels into fewer, larger ones and interpolates linearly between those.

    Args:
        size: pixels along the axis, n.
        factor: of the resolution that is left, in (0, 1].

    >>> coarsening(4, 0.5)[0]  # the first pixel lies outside the centers of the large ones
    tensor([0.5000, 0.5000, 0.0000, 0.0000])
    """
    count = max(1, round(size * factor))
    edges = torch.arange(count + 1, dtype=torch.float32) * size / count
    places = torch.arange(size, dtype=torch.float32)
    overlap = torch.minimum(edges[1:, None], places + 1) - torch.maximum(edges[:-1, None], places)
    averaging = _normalized(overlap.clamp(min=0))
    centers = ((places + 0.5) * count / size - 0.5).clamp(0, count - 1)
    interpolating = (1 - (centers[:, None] - torch.arange(count)).abs()).clamp(min=0)
    return interpolating @ averaging


def apply_along_axes(images: Tensor, matrices: Sequence[Tensor | None]) -> Tensor:
    """Multiply images (..., n_1, ..., n_d) along their last d axes, each with its matrix; None leaves an axis alone.

    Args:
        images: (..., n_1, ..., n_d).
        matrices: (n_k, n_k) each, or (B, n_k, n_k) with one for each image of a batch (B, C, n_1, ..., n_d).
    """
    first = images.ndim - len(matrices)
    for axis, matrix in enumerate(matrices, start=first):
        if matrix is None:
            continue
        if matrix.ndim == 3:
            matrix = matrix.view(len(matrix), *[1] * (images.ndim - 3), *matrix.shape[1:])
        images = (images.movedim(axis, -1) @ matrix.mT).movedim(-1, axis)
    return images.contiguous()


def _normalized(weights: Tensor) -> Tensor:
    return weights / weights.sum(dim=-1, keepdim=True)
