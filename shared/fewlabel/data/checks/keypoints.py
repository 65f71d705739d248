"""Places in a scan that are found again in a copy, wherever the copy was cut out or moved to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_LENGTH = 1.2  # millimeters: finer voxels are averaged, for speed
_FINE, _COARSE = 1.5, 3.0  # standard deviations in pixels, of the blobs that are looked for
_APART = 9  # pixels: the side of the window in which a keypoint is the strongest
_CONTRAST = 0.02  # of the range of intensities: weaker blobs are noise
_BITS = 24
_REACH = 9  # pixels: how far around a keypoint its code looks


def _pattern() -> NDArray[np.intp]:
    """Offsets (bits, 2, 2): the pairs of pixels that a code compares, on random places of a ring."""
    random = np.random.default_rng(0)
    angle, radius = random.uniform(0, 2 * np.pi, (_BITS, 2)), random.uniform(2, _REACH, (_BITS, 2))
    return np.round(np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)).astype(np.intp)


_PATTERN = _pattern()


@dataclass(frozen=True)
class Keypoints:
    """The keypoints of a scan.

    Args:
        positions: (N, 3) voxels, after averaging.
        codes: (N,) what each looks like.
        factors: how many voxels were averaged along each axis.
    """

    positions: NDArray[np.int32]
    codes: NDArray[np.int32]
    factors: tuple[int, int, int]


def find_keypoints(array: NDArray[Any], spacing: Sequence[float]) -> Keypoints:
    """Find blobs in each slice, and describe each by which of two places around it is brighter, 24 times.

    Blobs are extremes of a difference of Gaussians (Lowe, "Distinctive image features", IJCV 2004), and codes are
    BRIEF's (Calonder et al., ECCV 2010). Both move with the image, and neither changes with its brightness and
    contrast, so a copy that was cropped, shifted or scaled has most of them, with equal codes; another scan has none.

    Args:
        array: gray values (H, W, D), slices along the last axis, finite.
        spacing: millimeters between voxels along each axis.
    """
    factors = tuple(
        max(1, min(round(_LENGTH / step), size // 16)) for step, size in zip(spacing, array.shape, strict=True)
    )
    image = _averaged(array, factors)
    fine = ndimage.gaussian_filter(image, (_FINE, _FINE, 0))
    blobs = np.abs(fine - ndimage.gaussian_filter(image, (_COARSE, _COARSE, 0)))
    low, high = np.percentile(image[::2, ::2], (0.5, 99.5))
    strongest = ndimage.maximum_filter(blobs, (_APART, _APART, 1))
    found = (blobs == strongest) & (blobs > _CONTRAST * (high - low))
    margin = _REACH + 1
    inside = np.zeros_like(found)
    inside[margin:-margin, margin:-margin] = True
    positions = np.argwhere(found & inside)
    around = positions[:, None, None, :2] + _PATTERN
    values = fine[around[..., 0], around[..., 1], positions[:, 2, None, None]]
    codes = ((values[..., 0] > values[..., 1]) << np.arange(_BITS)).sum(axis=1)
    return Keypoints(positions.astype(np.int32), codes.astype(np.int32), (factors[0], factors[1], factors[2]))


def _averaged(array: NDArray[Any], factors: tuple[int, ...]) -> NDArray[np.float32]:
    """Average blocks of voxels; what is left over at the far ends is cut off."""
    whole = tuple(slice(0, size - size % factor) for size, factor in zip(array.shape, factors, strict=True))
    image = np.asarray(array[whole], dtype=np.float32)
    if math.prod(factors) == 1:
        return image
    blocks = [length for size, factor in zip(image.shape, factors, strict=True) for length in (size // factor, factor)]
    averaged: NDArray[np.float32] = image.reshape(blocks).mean(axis=(1, 3, 5), dtype=np.float32)
    return averaged
