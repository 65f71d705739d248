"""Encode JSON and NIfTI as bytes that depend on their content alone."""

from __future__ import annotations

import gzip
import io
import json
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray


def json_bytes(value: Any) -> bytes:
    """Encode ``value`` as indented JSON that ends with a newline."""
    return (json.dumps(value, indent=2) + "\n").encode()


def nifti_bytes(volume: NDArray[Any], affine: NDArray[np.float64], header: Any = None) -> bytes:
    """Encode a volume as ``.nii.gz`` bytes that depend on its voxels and geometry only, not on name or time.

    Args:
        volume: Voxels ``(X, Y, Z)``; their type is kept.
        affine: ``(4, 4)`` voxel to millimetre matrix.
        header: A nibabel header whose units and sform/qform codes are kept, when the volume comes from a file.

    """
    image = nib.Nifti1Image(volume, affine, header=header)
    image.set_data_dtype(volume.dtype)
    image.header.set_slope_inter(1, 0)
    if header is None:
        image.header.set_xyzt_units("mm")
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, compresslevel=6, mtime=0) as stream:
        stream.write(image.to_bytes())
    return buffer.getvalue()
