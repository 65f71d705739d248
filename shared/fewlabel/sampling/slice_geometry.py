"""Where the pixels of augmented slices and of their feature maps lie in a scan, in millimeters, and back."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


class SliceGeometry:
    """The way from a pixel of a feature map to a point of the patient, for slices of known scans.

    Three steps: a map's pixel (row, column) to the augmented slice it was computed from, by the network's stride; from
    there to the slice of the scan, by the affine that augmentations keep track of; and with the slice's number to
    millimeters, by the scan's own affine. Pixels and voxels are counted at their centers.

    Args:
        affines: for each volume, by its name, the matrix (4, 4) that takes (row, column, slice, 1) of the volume as
            slices are cut from it to millimeters in the RAS+ frame.

    Raises:
        ValueError: a matrix is not (4, 4), or has no inverse.

    >>> geometry = SliceGeometry({"heart": torch.diag(torch.tensor([1.5, 1.5, 10.0, 1.0]))})
    >>> geometry.to_millimeters("heart", 2, torch.tensor([[4.0, 6.0]])).tolist()
    [[6.0, 9.0, 20.0]]
    """

    def __init__(self, affines: Mapping[str, Tensor]) -> None:
        self._affines: dict[str, Tensor] = {}
        self._inverses: dict[str, Tensor] = {}
        for name, affine in affines.items():
            matrix = torch.as_tensor(affine, dtype=torch.float64, device="cpu")
            if tuple(matrix.shape) != (4, 4) or float(matrix.det().abs()) < 1e-12:
                raise ValueError(f"the affine of {name!r} must be an invertible (4, 4) matrix, got {matrix.tolist()}")
            self._affines[str(name)] = matrix
            self._inverses[str(name)] = matrix.inverse()

    def __contains__(self, volume: str) -> bool:
        return volume in self._affines

    def to_millimeters(self, volume: str, slice_index: int, pixels: Tensor) -> Tensor:
        """Return the points (n, 3) in millimeters of pixels (n, 2) of a slice, (row, column) as it is on disk."""
        affine = self._of(self._affines, volume)
        in_plane = pixels.to("cpu", torch.float64)
        return in_plane @ affine[:3, :2].T + affine[:3, 2] * slice_index + affine[:3, 3]

    def to_slices(self, volume: str, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return where points (n, 3) in millimeters lie in a volume.

        Returns:
            The number of the nearest slice (n,), which may lie outside the volume; and row and column (n, 2) in it.
        """
        inverse = self._of(self._inverses, volume)
        voxels = points.to("cpu", torch.float64) @ inverse[:3, :3].T + inverse[:3, 3]
        return voxels[:, 2].round().long(), voxels[:, :2]

    @staticmethod
    def _of(matrices: Mapping[str, Tensor], volume: str) -> Tensor:
        if volume not in matrices:
            raise ValueError(f"the geometry of {volume!r} is not known, only that of {sorted(matrices)[:5]} ...")
        return matrices[volume]


def map_to_slice(affine: Tensor, stride: int = 1) -> Tensor:
    """Return the matrix (3, 3) from (row, column, 1) of a feature map to row and column of the slice on disk.

    Args:
        affine: (4, 4), from the augmented slice's pixels to the slice's, as augmentations track it; in a batch of
            :class:`fewlabel.data.TwoStreamLoader` the entry ``affine`` holds one for each image.
        stride: pixels of the augmented slice along each side of a map's pixel.

    >>> map_to_slice(torch.eye(4), stride=4)[:2].tolist()
    [[4.0, 0.0, 1.5], [0.0, 4.0, 1.5]]
    """
    matrix = torch.eye(3, dtype=torch.float64)
    tracked = affine.detach().to("cpu", torch.float64)
    matrix[:2, :2] = tracked[:2, :2] * stride
    matrix[:2, 2] = tracked[:2, 3] + tracked[:2, :2].sum(dim=1) * (stride - 1) / 2
    return matrix
