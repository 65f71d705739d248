"""Bring volumes to one spacing of voxels."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.data import MetaTensor
from monai.transforms import MapTransform, Resize


def resampled_shape(volume: torch.Tensor, spacing: Sequence[float]) -> tuple[int, ...]:
    """Return how many voxels of a spacing cover the field of view of a volume (C, X, Y, Z), at least one per axis.

    Args:
        volume: its affine (4, 4) says how far its voxels are apart.
        spacing: millimeters along each axis.

    Raises:
        ValueError: the volume has no affine, which says how large its voxels are.

    >>> import torch
    >>> scan = MetaTensor(torch.zeros(1, 40, 30, 9), affine=torch.diag(torch.tensor([0.5, 0.5, 3.0, 1.0])))
    >>> resampled_shape(scan, (1.0, 1.0, 1.0))
    (20, 15, 27)
    """
    if not isinstance(volume, MetaTensor):
        raise ValueError(
            "the volume has no affine, so its spacing is unknown; load it with MONAI, or leave spacing out"
        )
    own = torch.linalg.vector_norm(volume.affine[:3, :3].double(), dim=0).tolist()
    # Formats store a spacing to six digits or to sixteen; the inner rounding lets 12.5000001 voxels end as 12.5 do.
    return tuple(
        max(1, round(round(count * before / after, 3)))
        for count, before, after in zip(volume.shape[1:], own, spacing, strict=True)
    )


def check_spacing(spacing: Sequence[float] | None) -> tuple[float, ...] | None:
    """Return a valid spacing, millimeters along three axes, or None.

    Raises:
        ValueError: it is neither.
    """
    if spacing is None:
        return None
    checked = tuple(float(step) for step in spacing)
    if len(checked) != 3 or not all(0 < step < float("inf") for step in checked):
        raise ValueError(
            f"spacing must be three numbers of millimeters, or null to leave scans as they are: {spacing!r}"
        )
    return checked


class Resampled(MapTransform):
    """Resample volumes to a spacing: images linearly, labels by the nearest neighbor.

    Voxels are boxes: the result covers the same field of view to less than a voxel, so that a label stays on its image.
    Orientation is left as it is.

    Args:
        spacing: millimeters between voxels along each axis; None leaves every volume as it is.
        keys: ``label`` is resampled by the nearest neighbor, others linearly; a missing key is passed over.

    Raises:
        ValueError: a spacing that is not three positive numbers; when called, a volume without an affine.
    """

    def __init__(self, spacing: Sequence[float] | None, keys: Sequence[str] = ("image", "label")) -> None:
        super().__init__(keys, allow_missing_keys=True)
        self.spacing = check_spacing(spacing)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the case with resampled volumes."""
        case = dict(data)
        if self.spacing is None:
            return case
        for key in self.key_iterator(case):
            shape = resampled_shape(case[key], self.spacing)
            if shape == tuple(case[key].shape[1:]):
                continue
            how = {"mode": "nearest-exact"} if key == "label" else {"mode": "trilinear", "align_corners": False}
            case[key] = Resize(shape, **how)(case[key])
        return case
