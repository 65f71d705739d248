"""The orientation in which networks see volumes: the closest canonical one, RAS, with slices along the last axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from nibabel.orientations import inv_ornt_aff, io_orientation, ornt2axcodes
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

SliceAxis = int | Literal["auto"]
PLANES = ("sagittal", "coronal", "axial")  # slices along the first, second and third axis of RAS
CLEARLY_COARSER = 1.5  # a spacing this many times the others is between slices; below, it may be in the plane


@dataclass(frozen=True)
class Reorientation:
    """How to put the axes of a stored volume in the order and direction in which a network sees them.

    Args:
        axes: the stored axis that becomes the first, the second and the third.
        flips: whether the first, the second and the third axis run the other way than the stored axis.
    """

    axes: tuple[int, int, int] = (0, 1, 2)
    flips: tuple[bool, bool, bool] = (False, False, False)

    @property
    def is_identity(self) -> bool:
        """Whether volumes stay as they are."""
        return self.axes == (0, 1, 2) and not any(self.flips)

    def apply(self, volume: torch.Tensor) -> torch.Tensor:
        """Return a stored volume (..., X, Y, Z) as the network sees it."""
        lead = volume.ndim - 3
        arranged = volume.permute(*range(lead), *(lead + axis for axis in self.axes))
        return arranged.flip(self._flipped(lead)) if any(self.flips) else arranged

    def apply_to_array(self, volume: NDArray[Any]) -> NDArray[Any]:
        """Return a view of a stored volume (X, Y, Z) as the network sees it."""
        arranged: NDArray[Any] = np.flip(np.transpose(volume, self.axes), tuple(self._flipped(0)))
        return arranged

    def undo(self, volume: torch.Tensor) -> torch.Tensor:
        """Return what a network saw or found, (..., X, Y, Z), on the stored volume's grid."""
        lead = volume.ndim - 3
        unflipped = volume.flip(self._flipped(lead)) if any(self.flips) else volume
        return unflipped.permute(*range(lead), *(lead + self.axes.index(axis) for axis in range(3)))

    def affine(self, affine: NDArray[np.float64], shape: Sequence[int]) -> NDArray[np.float64]:
        """Return the affine (4, 4) of the reoriented volume.

        Args:
            affine: the stored volume's, voxels to millimeters.
            shape: the stored volume's voxels along each axis.
        """
        where = [[self.axes.index(axis), -1 if self.flips[self.axes.index(axis)] else 1] for axis in range(3)]
        result: NDArray[np.float64] = np.asarray(affine, dtype=np.float64) @ inv_ornt_aff(where, tuple(shape))
        return result

    def _flipped(self, lead: int) -> list[int]:
        return [lead + axis for axis, flipped in enumerate(self.flips) if flipped]


def find_reorientation(affine: Any, shape: Sequence[int], slice_axis: SliceAxis | None = None) -> Reorientation:
    """Return how to reorient a volume to the closest canonical orientation, RAS.

    Args:
        affine: (4, 4), voxel index to millimeters in the RAS+ frame.
        shape: voxels along each stored axis.
        slice_axis: the axis of RAS that is put last, behind the other two, see :func:`find_slice_axis`; None leaves
            the axes in the order of RAS.

    >>> find_reorientation(np.diag([-1.0, -1.0, 8.0, 1.0]), (64, 64, 9), "auto")
    Reorientation(axes=(0, 1, 2), flips=(True, True, False))
    >>> find_reorientation(np.diag([8.0, 1.5, 1.5, 1.0]), (9, 64, 64), "auto")
    Reorientation(axes=(1, 2, 0), flips=(False, False, False))
    """
    stored = io_orientation(np.asarray(affine, dtype=np.float64))
    order = [0, 1, 2]
    if slice_axis is not None:
        last = find_slice_axis(affine, shape) if slice_axis == "auto" else slice_axis
        order = [*(axis for axis in order if axis != last), last]
    of_canonical = {int(canonical): axis for axis, (canonical, _) in enumerate(stored)}
    x, y, z = (of_canonical[axis] for axis in order)
    flip_x, flip_y, flip_z = (bool(stored[axis, 1] < 0) for axis in (x, y, z))
    return Reorientation((x, y, z), (flip_x, flip_y, flip_z))


def find_slice_axis(affine: Any, shape: Sequence[int]) -> int:
    """Return the axis of RAS along which a volume was acquired slice by slice.

    That is the one axis with a single voxel, if there is one; else that of the coarsest spacing, if it is at least 1.5
    times the next; else the third: slices are axial.

    >>> find_slice_axis(np.diag([8.0, 1.5, 1.5, 1.0]), (9, 64, 64))
    0
    >>> find_slice_axis(np.diag([1.0, 1.0, 1.2, 1.0]), (64, 64, 64))
    2
    """
    stored = io_orientation(np.asarray(affine, dtype=np.float64))
    spacing = np.linalg.norm(np.asarray(affine, dtype=np.float64)[:3, :3], axis=0)
    single = [axis for axis, count in enumerate(shape) if count == 1]
    coarsest, *others = sorted(range(3), key=lambda axis: -spacing[axis])
    # single-precision headers lose the seventh digit of a ratio of exactly 1.5
    if len(single) == 1:
        return int(stored[single[0], 0])
    if spacing[coarsest] >= (CLEARLY_COARSER - 1e-4) * spacing[others[0]]:
        return int(stored[coarsest, 0])
    return 2


def check_slice_axis(slice_axis: Any) -> SliceAxis:
    """Return a valid axis of slices; the command line's ``"0"`` is 0.

    Raises:
        ValueError: it is none of "auto", 0, 1 and 2.
    """
    known: dict[str, SliceAxis] = {"auto": "auto", "0": 0, "1": 1, "2": 2}
    if isinstance(slice_axis, bool) or str(slice_axis) not in known:
        raise ValueError(
            'slice_axis must be "auto" (the coarsest spacing), or the axis of RAS that slices are cut along: 0 '
            f"(sagittal slices), 1 (coronal) or 2 (axial), got {slice_axis!r}"
        )
    return known[str(slice_axis)]


def orientation_code(affine: Any) -> str:
    """Return where the stored axes lead to, as "RAS" or "LPS"; "oblique" is added more than five degrees off.

    >>> orientation_code(np.diag([-1.0, -1.0, 8.0, 1.0]))
    'LPS'
    """
    linear = np.asarray(affine, dtype=np.float64)[:3, :3]
    cosines = np.abs(linear / np.linalg.norm(linear, axis=0)).max(axis=0)
    code = "".join(ornt2axcodes(io_orientation(np.asarray(affine, dtype=np.float64))))
    return code if cosines.min() > np.cos(np.deg2rad(5)) else f"{code} oblique"
