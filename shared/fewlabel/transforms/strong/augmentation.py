"""The strong augmentation, of slices and of patches of volumes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import MapTransform, Randomizable

from fewlabel.conventions.labels import LABEL_KEYS
from fewlabel.parsing import parse_arguments
from fewlabel.transforms.strong.geometry import Matrix, Resampling, draw_change
from fewlabel.transforms.strong.intensities import change_intensities
from fewlabel.transforms.strong.strengths import Strengths


class StrongAugmentationd(Randomizable, MapTransform):
    """What both have in common; see :class:`StrongSliceAugmentationd` and :class:`StrongPatchAugmentationd`."""

    def __init__(
        self,
        size: Sequence[int],
        spacing: Sequence[float],
        keys: Sequence[str],
        mirrored_axes: Sequence[int],
        strengths: Strengths,
    ) -> None:
        super().__init__(keys, allow_missing_keys=True)
        self.size = tuple(int(side) for side in size)
        if len(self.size) != len(spacing) or min(self.size) < 1:
            raise ValueError(f"size must be {len(spacing)} numbers of pixels, got {size!r}")
        self.spacing = tuple(float(step) for step in spacing)
        self.mirrored_axes = tuple(mirrored_axes)
        self.strengths = strengths

    @abstractmethod
    def _frame(self, native: tuple[int, ...]) -> tuple[Matrix, Matrix]:
        """Return what leads from the result to an unchanged image: a matrix (d, d), and the center in the image."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the dictionary with the augmented images in place of those under ``keys``."""
        out = dict(data)
        keys = list(self.key_iterator(out))
        if not keys:
            return out
        native = _common_shape(out, keys, len(self.size))
        affine = self._draw_affine(native)
        resample = Resampling(affine, self.size, native)
        tracked = np.eye(4)
        tracked[: len(self.size), : len(self.size)] = affine[:, :-1]
        tracked[: len(self.size), 3] = affine[:, -1]
        for key in keys:
            values = torch.as_tensor(out[key])
            # plain tensors inside: MONAI's geometry tracking costs more than all the arithmetic
            result = resample(values.as_subclass(torch.Tensor), nearest=key in LABEL_KEYS)
            if key not in LABEL_KEYS:
                result = result if result.is_floating_point() else result.float()
                result = change_intensities(result, self.R, self.strengths, self.spacing)
            before = values.affine.numpy() if isinstance(values, MetaTensor) else np.eye(4)
            out[key] = MetaTensor(result, affine=torch.from_numpy(before @ tracked))
        return out

    def _draw_affine(self, native: tuple[int, ...]) -> Matrix:
        unit, center = self._frame(native)
        change = draw_change(self.R, self.strengths, self.spacing, self.mirrored_axes)
        shift = self.R.uniform(-self.strengths.shift, self.strengths.shift, len(self.size)) * (unit @ self.size)
        if np.array_equal(change @ unit, np.eye(len(self.size))):
            shift = np.round(shift)  # nothing to interpolate
        linear = change @ unit
        start = center + shift - linear @ (np.asarray(self.size) - 1) / 2
        return np.column_stack([linear, start])


class StrongSliceAugmentationd(StrongAugmentationd):
    """Rotate, scale and shift a slice, resize it to the network's input size, change its intensities, all at random.

    All of the geometry is one interpolation, with zeros outside the slice. The result's ``affine`` (4, 4), 2D as MONAI
    has it, leads from its pixels (row, column) back to those of the slice. Nothing is mirrored unless asked for: where
    images are never taken mirrored, a network need not learn it.

    Args:
        size: rows and columns of the result.
        keys: those of :data:`fewlabel.conventions.labels.LABEL_KEYS` are interpolated by the nearest neighbor and keep
            their values, others are images, interpolated linearly; a missing key is passed over.
        flips: mirror along each axis, with probability 1/2.
        strengths: limits and probabilities.

    Raises:
        ValueError: a size below 1; when called, an entry that is not (C, H, W) or differs from the others in shape.

    >>> slices = {"image": torch.rand(1, 30, 20), "label": torch.ones(1, 30, 20)}
    >>> augmented = StrongSliceAugmentationd(size=(24, 24)).set_random_state(seed=1)(slices)
    >>> augmented["image"].shape, augmented["label"].shape
    (torch.Size([1, 24, 24]), torch.Size([1, 24, 24]))
    """

    @parse_arguments
    def __init__(
        self,
        size: Sequence[int],
        keys: Sequence[str] = ("image", *LABEL_KEYS),
        flips: bool = False,
        strengths: Strengths | None = None,
    ) -> None:
        self.flips = flips
        super().__init__(size, (1.0, 1.0), keys, (0, 1) if flips else (), strengths or Strengths())

    def _frame(self, native: tuple[int, ...]) -> tuple[Matrix, Matrix]:
        return np.diag(np.divide(native, self.size)), (np.asarray(native) - 1) / 2


class StrongPatchAugmentationd(StrongAugmentationd):
    """Cut a patch of a volume that is rotated, scaled and shifted, and change its intensities, all at random.

    The patch is interpolated from the volume itself, so that a rotation leaves no empty corners within the scan;
    outside the scan are zeros. A patch is centered where an unchanged one would lie within the scan, in its middle
    along an axis that is shorter than the patch. Rotation is mainly about the axis of the slices. The result's
    ``affine`` (4, 4) leads from its voxels back to those of the volume.

    Args:
        size: voxels of the patch along each axis.
        spacing: millimeters between voxels along each axis, of volume and patch; None for equal ones.
        keys: those of :data:`fewlabel.conventions.labels.LABEL_KEYS` are interpolated by the nearest neighbor and keep
            their values, others are images, interpolated linearly; a missing key is passed over.
        flips: mirror along the first axis, with probability 1/2.
        strengths: limits and probabilities.

    Raises:
        ValueError: a size below 1; when called, an entry that is not (C, X, Y, Z) or differs from the others in shape.

    >>> volume = {"image": torch.rand(1, 30, 20, 10), "label": torch.ones(1, 30, 20, 10)}
    >>> StrongPatchAugmentationd((16, 16, 8)).set_random_state(seed=1)(volume)["image"].shape
    torch.Size([1, 16, 16, 8])
    """

    @parse_arguments
    def __init__(
        self,
        size: Sequence[int],
        spacing: Sequence[float] | None = None,
        keys: Sequence[str] = ("image", *LABEL_KEYS),
        flips: bool = False,
        strengths: Strengths | None = None,
    ) -> None:
        self.flips = flips
        chosen = strengths or Strengths(angle=23.0, scale=(0.8, 1.25))
        super().__init__(size, spacing or (1.0, 1.0, 1.0), keys, (0,) if flips else (), chosen)

    def _frame(self, native: tuple[int, ...]) -> tuple[Matrix, Matrix]:
        free = np.maximum(np.subtract(native, self.size), 0)
        first = [self.R.randint(count + 1) for count in free]
        middle = (np.asarray(native) - 1) / 2
        # whole voxels, also where the patch is longer than the volume
        centered = np.floor(middle - (np.asarray(self.size) - 1) / 2) + (np.asarray(self.size) - 1) / 2
        inside = np.asarray(first) + (np.asarray(self.size) - 1) / 2
        return np.eye(3), np.where(free > 0, inside, centered)


def _common_shape(data: Mapping[Hashable, Any], keys: Sequence[Hashable], axes: int) -> tuple[int, ...]:
    shapes = {key: tuple(data[key].shape) for key in keys}
    if any(len(shape) != axes + 1 for shape in shapes.values()) or len({shape[1:] for shape in shapes.values()}) > 1:
        what = "slices (C, H, W)" if axes == 2 else "volumes (C, X, Y, Z)"
        raise ValueError(f"expected {what}, all of one shape, got {shapes}")
    return next(iter(shapes.values()))[1:]
