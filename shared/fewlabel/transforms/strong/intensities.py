"""Brightness, contrast, gamma, noise, blur and resolution of one image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from fewlabel.transforms.strong.filters import apply_along_axes, blurring, coarsening
from fewlabel.transforms.strong.geometry import fine_axes
from fewlabel.transforms.strong.strengths import Strengths

_DEVIATIONS = 6.0


def spread_of(images: Tensor, leading: int = 1) -> Tensor:
    """Return the range of intensities of each channel, or six standard deviations where outliers make it wider.

    Args:
        images: (C, *spatial), or (B, C, *spatial).
        leading: axes before the spatial ones, 1 or 2.

    Returns:
        (C, 1, ...), or (B, C, 1, ...); 0 for a constant channel.

    >>> spread_of(torch.tensor([[[0.0, 1.0]], [[5.0, 5.0]]])).flatten()
    tensor([1., 0.])
    """
    axes = tuple(range(leading, images.ndim))
    extent = images.amax(axes, keepdim=True) - images.amin(axes, keepdim=True)
    return torch.minimum(extent, _DEVIATIONS * images.std(axes, correction=0, keepdim=True))


def change_intensities(
    image: Tensor, random: np.random.RandomState, strengths: Strengths, spacing: Sequence[float]
) -> Tensor:
    """Return an image whose sharpness, brightness or contrast, gamma and noise are changed at random, in this order.

    All channels are changed alike, each relative to its own spread. No value is clipped.

    Args:
        image: (C, *spatial) float; not changed itself.
        random: where the randomness comes from.
        strengths: limits and probabilities.
        spacing: lengths of a pixel along each axis; where slices are thick, the blur across them is narrower and their
            resolution stays.
    """
    image = _change_sharpness(image, random, strengths, spacing)
    if random.uniform() < strengths.tone_prob:
        axes = tuple(range(1, image.ndim))
        about_mean = random.uniform() < 0.5
        pivot = image.mean(axes, keepdim=True) if about_mean else image.amin(axes, keepdim=True)
        image = torch.lerp(pivot, image, random.uniform(*strengths.factor))
    if random.uniform() < strengths.tone_prob:
        image = _change_gamma(image, random.uniform(*strengths.gamma))
    if random.uniform() < strengths.tone_prob:
        deviation = random.uniform(0, strengths.noise) * spread_of(image)
        generator = torch.Generator().manual_seed(int(random.randint(2**31)))
        image = torch.addcmul(image, torch.randn(image.shape, generator=generator, dtype=image.dtype), deviation)
    return image


def _change_gamma(image: Tensor, gamma: float) -> Tensor:
    low, spread = image.amin(tuple(range(1, image.ndim)), keepdim=True), spread_of(image)
    unit = (image - low) / torch.where(spread > 0, spread, 1)
    return torch.addcmul(low, unit**gamma, spread)


def _change_sharpness(
    image: Tensor, random: np.random.RandomState, strengths: Strengths, spacing: Sequence[float]
) -> Tensor:
    blurs = random.uniform() < strengths.sharpness_prob
    coarsens = random.uniform() < strengths.sharpness_prob
    if not blurs and not coarsens:
        return image
    sigma, factor = random.uniform(*strengths.blur), random.uniform(*strengths.resolution)
    matrices: list[Tensor | None] = []
    for size, step, fine in zip(image.shape[1:], spacing, fine_axes(spacing), strict=True):
        matrix = blurring(size, torch.tensor(sigma * min(spacing) / step)) if blurs else None
        if coarsens and fine:
            coarse = coarsening(size, factor)
            matrix = coarse if matrix is None else coarse @ matrix
        matrices.append(None if matrix is None else matrix.to(image.dtype))
    return apply_along_axes(image, matrices)
