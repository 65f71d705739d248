"""One resampling for all changes of geometry, in two and three dimensions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from fewlabel.transforms.strong.strengths import Strengths

Matrix = NDArray[np.float64]
_THICK = 2.0  # times the finest spacing: such slices are not tilted, and not made coarser
_TILT = 1 / 3  # of the angle, about the axes that lie in the slices


def fine_axes(spacing: Sequence[float]) -> list[bool]:
    """Return for each axis whether its spacing is not far coarser than the finest.

    >>> fine_axes((1.25, 1.25, 7.7)), fine_axes((2.0, 2.0, 2.0))
    ([True, True, False], [True, True, True])
    """
    return [step < _THICK * min(spacing) for step in spacing]


def draw_change(
    random: np.random.RandomState, strengths: Strengths, spacing: Sequence[float], mirrored_axes: Sequence[int] = ()
) -> Matrix:
    """Draw how offsets from the center of the result become offsets in the source, both in pixels of this spacing.

    Rotation is by the angle about the axis that slices are cut along, the coarsest, or else the last, and by up to a
    third of it about the others, unless the slices are thick.

    Args:
        random: where the randomness comes from.
        strengths: limits and probabilities.
        spacing: lengths of a pixel, two or three.
        mirrored_axes: each is mirrored with probability 1/2.

    Returns:
        (2, 2) or (3, 3), the identity if nothing is drawn.
    """
    change = np.eye(len(spacing))
    if random.uniform() < strengths.geometry_prob:
        change = _rotation(random, strengths.angle, spacing)
    if random.uniform() < strengths.geometry_prob:
        low, high = np.log(strengths.scale)
        change = change @ np.diag(np.exp(-random.uniform(low, high, len(spacing))))
    for axis in mirrored_axes:
        if random.uniform() < 0.5:
            change[:, axis] *= -1
    return change


def _rotation(random: np.random.RandomState, angle: float, spacing: Sequence[float]) -> Matrix:
    if len(spacing) == 2:
        planes = {(0, 1): 1.0}
    else:
        fine = fine_axes(spacing)
        through = 2 if all(fine) else int(np.argmax(spacing))
        others = [axis for axis in range(3) if axis != through]
        planes = {(others[0], others[1]): 1.0}
        if all(fine):
            planes |= {(axis, through): _TILT for axis in others}
    rotation = np.eye(len(spacing))
    for (one, other), share in planes.items():
        radians = np.deg2rad(random.uniform(-angle, angle) * share)
        turn = np.eye(len(spacing))
        turn[[one, other], [one, other]] = np.cos(radians)
        turn[one, other], turn[other, one] = -np.sin(radians), np.sin(radians)
        rotation = rotation @ turn
    # lengths, not pixels, keep their shape in a rotation
    return rotation * np.divide.outer(spacing, spacing).T


class Resampling:
    """What images show at the places where an affine puts the pixels of a result, zeros outside.

    Only the box that the result covers is read, which matters for volumes that are mapped into memory.

    Args:
        affine: (d, d + 1), from pixels of the result to those of the images, centers on centers.
        size: of the result.
        native: of the images, two or three sides.
    """

    def __init__(self, affine: Matrix, size: Sequence[int], native: Sequence[int]) -> None:
        linear, offset = affine[:, :-1], affine[:, -1]
        reach = np.sort([np.zeros_like(linear), linear * np.subtract(size, 1)], axis=0).sum(axis=2) + offset
        # one pixel more than the linear interpolation sees, for rounding
        starts = [min(max(int(low) - 1, 0), side - 1) for low, side in zip(np.floor(reach[0]), native, strict=True)]
        ends = [int(high) + 3 for high in np.floor(reach[1])]
        ends = [min(max(e, s + 1), n) for e, s, n in zip(ends, starts, native, strict=True)]
        self.box = (slice(None), *map(slice, starts, ends))
        sides = np.subtract(ends, starts)
        # PyTorch names axes from the last to the first, and an image spans [-1, 1]
        self.grid = torch.empty(1, *size, len(size))
        for axis in range(len(size)):
            scale = 2 / sides[axis]
            summed = torch.tensor(scale * (offset[axis] - starts[axis] + 0.5) - 1, dtype=torch.float64)
            for other, side in enumerate(size):
                steps = torch.arange(side, dtype=torch.float64) * (scale * linear[axis, other])
                summed = summed[..., None] + steps
            self.grid[0, ..., -1 - axis] = summed

    def __call__(self, pixels: torch.Tensor, nearest: bool) -> torch.Tensor:
        """Return (C, *size), of the same type as the image.

        Args:
            pixels: (C, *native).
            nearest: take the nearest pixel's value, instead of interpolating linearly.
        """
        floating = pixels[self.box].float()[None]
        mode = "nearest" if nearest else "bilinear"
        result = F.grid_sample(floating, self.grid, mode=mode, padding_mode="zeros", align_corners=False)
        return result[0].to(pixels.dtype)
