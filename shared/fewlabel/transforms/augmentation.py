"""The slice augmentation that the thesis' methods share."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from monai.data import MetaTensor
from monai.transforms import MapTransform, Randomizable
from numpy.typing import NDArray

from fewlabel.conventions.labels import LABEL_KEYS
from fewlabel.parsing import parse_arguments

Matrix = NDArray[np.float64]
_TURN = np.array([[0.0, 1.0], [-1.0, 0.0]])  # turned[r, c] = image[c, -r], counted from the center


class SliceAugmentationd(Randomizable, MapTransform):
    """Turn or flip a slice at random, and resize it to the network's input size.

    Half of the slices are turned by a uniform multiple of 90 degrees and then flipped along a random axis, a
    quarter are rotated by a uniform angle, a quarter stay as they are: the augmentation of the released MCSC and
    CS-UNet code. The theses' text speaks of random crops; no released code crops, all of it resizes.

    Rotation and resizing are one interpolation, with zeros outside the slice. The result's ``affine`` (4, 4), 2D as
    MONAI has it, leads from its pixels (row, column) back to those of the slice. Pixels are areas: a resized slice
    covers the same field of view, whatever the interpolation, so that a label stays on its image to less than a pixel.

    The flips mirror left and right: for organs that come in sides set ``flips=False``.

    Args:
        size: rows and columns of the result.
        keys: images are interpolated linearly, those of :data:`fewlabel.conventions.labels.LABEL_KEYS` by the nearest
            neighbor; a missing key is passed over.
        angle: largest rotation in degrees.
        flips: whether slices may be turned by 90 degrees and mirrored. Without, those slices are rotated.
        released_resize: interpolate images by the nearest neighbor, as the released SSL4MIS and MCSC code does.

    Raises:
        ValueError: a size below 1, an angle that is negative or no number; when called, an entry that is not (C, H, W)
            or differs from the others in shape.

    >>> slices = {"image": torch.rand(1, 30, 20), "label": torch.ones(1, 30, 20)}
    >>> augmented = SliceAugmentationd(size=(24, 24)).set_random_state(seed=1)(slices)
    >>> augmented["image"].shape, augmented["label"].shape
    (torch.Size([1, 24, 24]), torch.Size([1, 24, 24]))
    """

    @parse_arguments
    def __init__(
        self,
        size: Sequence[int],
        keys: Sequence[str] = ("image", *LABEL_KEYS),
        angle: float = 20.0,
        flips: bool = True,
        released_resize: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys=True)
        self.size = tuple(int(n) for n in size)
        if len(self.size) != 2 or min(self.size) < 1:
            raise ValueError(f"size must be two numbers of pixels, rows and columns, got {size!r}")
        if not 0 <= angle < float("inf"):
            raise ValueError(f"angle must be a number of degrees, 0 or more, got {angle}")
        self.angle = float(angle)
        self.flips = flips
        self.released_resize = released_resize

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the dictionary with the augmented slices in place of those under ``keys``."""
        out = dict(data)
        keys = list(self.key_iterator(out))
        if not keys:
            return out
        height, width = _shape(out, keys)
        kind = self.R.choice(3, p=[0.5, 0.25, 0.25] if self.flips else [0.0, 0.75, 0.25])
        turns = axis = 0
        centered = np.eye(2)  # from pixels of the result to those of the slice, both counted from the center
        if kind == 0:
            turns, axis = int(self.R.randint(4)), int(self.R.randint(2))
            centered = np.linalg.matrix_power(_TURN, turns) @ np.diag([-1.0, 1.0] if axis == 0 else [1.0, -1.0])
        elif kind == 1:
            radians = np.deg2rad(self.R.uniform(-self.angle, self.angle))
            centered = np.array([[np.cos(radians), -np.sin(radians)], [np.sin(radians), np.cos(radians)]])
        oriented = (width, height) if turns % 2 else (height, width)
        grid = _grid(centered, height / width, self.size) if kind == 1 else None
        affine = _affine(centered @ np.diag(np.divide(oriented, self.size)), self.size, (height, width))
        for key in keys:
            values = torch.as_tensor(out[key])
            # plain tensors inside: MONAI's geometry tracking costs more than all the arithmetic
            pixels = values.as_subclass(torch.Tensor)
            nearest = key in LABEL_KEYS or self.released_resize
            if grid is not None:
                result = _sample(pixels, grid, nearest)
            else:
                result = _resize(_turn_and_flip(pixels, turns, axis) if kind == 0 else pixels, self.size, nearest)
            before = values.affine.numpy() if isinstance(values, MetaTensor) else np.eye(4)
            out[key] = MetaTensor(result, affine=torch.from_numpy(before @ affine))
        return out


def _shape(data: Mapping[Hashable, Any], keys: Sequence[Hashable]) -> tuple[int, int]:
    shapes = {key: tuple(data[key].shape) for key in keys}
    if any(len(shape) != 3 for shape in shapes.values()) or len({shape[1:] for shape in shapes.values()}) > 1:
        raise ValueError(f"expected slices (C, H, W), all of one height and width, got {shapes}")
    height, width = next(iter(shapes.values()))[1:]
    return height, width


def _turn_and_flip(pixels: torch.Tensor, turns: int, axis: int) -> torch.Tensor:
    return torch.rot90(pixels, turns, (1, 2)).flip(1 + axis)


def _resize(pixels: torch.Tensor, size: tuple[int, ...], nearest: bool) -> torch.Tensor:
    if pixels.shape[1:] == size:
        return pixels.clone()
    # "nearest" would shift a label by half a pixel against its linearly interpolated image
    how: dict[str, Any] = {"mode": "nearest-exact"} if nearest else {"mode": "bilinear", "align_corners": False}
    return F.interpolate(_floating(pixels)[None], size, **how)[0].to(pixels.dtype)


def _grid(centered: Matrix, aspect: float, size: tuple[int, ...]) -> torch.Tensor:
    """Where each pixel of the result lies in the slice; PyTorch's frame spans [-1, 1] in (column, row)."""
    theta = [
        [centered[1, 1], centered[1, 0] * aspect, 0.0],
        [centered[0, 1] / aspect, centered[0, 0], 0.0],
    ]
    return F.affine_grid(torch.tensor([theta], dtype=torch.float32), [1, 1, *size], align_corners=False)


def _sample(pixels: torch.Tensor, grid: torch.Tensor, nearest: bool) -> torch.Tensor:
    floating = _floating(pixels)[None]
    mode = "nearest" if nearest else "bilinear"
    result = F.grid_sample(floating, grid.to(floating.dtype), mode=mode, padding_mode="zeros", align_corners=False)
    return result[0].to(pixels.dtype)


def _floating(pixels: torch.Tensor) -> torch.Tensor:
    return pixels if pixels.dtype in (torch.float32, torch.float64) else pixels.float()


def _affine(linear: Matrix, size: Sequence[int], native: Sequence[int]) -> Matrix:
    """From (row, column) of the result to (row, column) of the slice, as 4 x 4, where centers fall on centers."""
    affine = np.eye(4)
    affine[:2, :2] = linear
    affine[:2, 3] = (np.asarray(native) - 1) / 2 - linear @ (np.asarray(size) - 1) / 2
    return affine
