"""The geometry in a NIfTI header: what is doubtful about it, and how to hand it on unchanged."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_TOLERANCE = 0.1  # millimeters at a corner of the volume: less is what single precision and quaternions lose
_SHEAR = 0.5  # degrees from a right angle
_FIELDS = (
    "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z",
    "srow_x", "srow_y", "srow_z", "pixdim", "xyzt_units",
)  # fmt: skip


def geometry_remarks(header: Any) -> dict[str, str]:
    """Return what of a NIfTI header's geometry is doubtful, by kind, and which part of it was taken.

    Args:
        header: nibabel's.
    """
    if header["sform_code"] == 0 and header["qform_code"] == 0:
        return {"no orientation": "the header has neither sform nor qform: the first axis was taken to run left"}
    remarks = {}
    affine = header.get_best_affine()
    if header["sform_code"] > 0 and header["qform_code"] > 0:
        shift = _largest_shift(affine, header.get_qform(), header.get_data_shape())
        if shift > _TOLERANCE:
            remarks["sform and qform"] = f"sform and qform disagree by up to {shift:.3g} mm: the sform was taken"
    angle = shear_angle(affine)
    if angle > _SHEAR:
        remarks["sheared"] = (
            f"the affine is sheared, its axes are {angle:.3g} degrees off a right angle: taken as it is"
        )
    return remarks


def shear_angle(affine: Any) -> float:
    """Return how far the axes of an affine (4, 4) are off a right angle, in degrees.

    >>> shear_angle(np.diag([1.5, 1.5, 8.0, 1.0]))
    0.0
    """
    linear = np.asarray(affine, dtype=np.float64)[:3, :3]
    cosines = linear / np.linalg.norm(linear, axis=0)
    off_diagonal = np.abs(cosines.T @ cosines - np.diag(np.diag(cosines.T @ cosines))).max()
    return float(np.rad2deg(np.arcsin(min(1.0, off_diagonal))))


def copy_geometry(source: Any, target: Any) -> None:
    """Copy sform, qform, spacing and units from one NIfTI header to another, each as it is.

    Viewers differ in which of sform and qform they take; with both kept, a label map is on its scan in all of them.
    """
    for field in _FIELDS:
        target[field] = source[field]
    if target.get_xyzt_units()[0] == "unknown":
        target.set_xyzt_units("mm")  # what all readers take it for


def _largest_shift(first: NDArray[np.float64], second: NDArray[np.float64], shape: tuple[int, ...]) -> float:
    x, y, z = (n - 1 for n in (*shape, 1, 1, 1)[:3])
    corners = np.array([[i, j, k, 1] for i in (0, x) for j in (0, y) for k in (0, z)], dtype=np.float64).T
    return float(np.linalg.norm(((first - second) @ corners)[:3], axis=0).max())
