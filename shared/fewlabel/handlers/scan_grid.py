"""Write what was found in a scan onto the scan's own grid."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from monai.utils import ImageMetaKey, MetaKeys
from numpy.typing import NDArray

from fewlabel.atomic import atomic_open
from fewlabel.conventions.nifti_geometry import copy_geometry


def own_affine(image: Any) -> NDArray[np.float64]:
    """Return the affine (4, 4) of the file that an image was loaded from, voxels to millimeters in RAS+."""
    return np.asarray(image.meta.get(MetaKeys.ORIGINAL_AFFINE, image.affine), dtype=np.float64)


def own_header(image: Any) -> Any:
    """Return nibabel's header of the NIfTI file that an image was loaded from; None if it came from another format."""
    source = str(image.meta.get(ImageMetaKey.FILENAME_OR_OBJ, ""))
    if source.lower().endswith((".nii", ".nii.gz")) and Path(source).is_file():
        return nib.load(source).header
    return None


def own_shape(image: Any) -> tuple[int, ...]:
    """Return the voxels along each axis of the file that an image was loaded from."""
    return tuple(int(n) for n in image.meta.get(MetaKeys.SPATIAL_SHAPE, image.shape[1:]))


def write_nifti(path: Path, volume: NDArray[Any], affine: NDArray[np.float64], header: Any = None) -> None:
    """Write a volume (X, Y, Z) as ``.nii.gz`` on the grid of its scan; it appears whole.

    It is written slice by slice, and the same voxels give the same bytes.

    Args:
        path: the file.
        volume: its voxels, whose type is kept.
        affine: the scan's.
        header: that of the scan, if it is NIfTI: its sform, qform, spacing and units are kept as they are. Otherwise
            the affine is written into both, in millimeters.
    """
    image = nib.Nifti1Image(volume, affine)
    if header is None:
        image.header.set_xyzt_units("mm")
        image.set_sform(affine, code="scanner")
        image.set_qform(affine, code="scanner")
    else:
        copy_geometry(header, image.header)
    # label maps shrink to little at any level, and the lowest takes the least time
    with atomic_open(path) as stream, gzip.GzipFile("", "wb", compresslevel=1, fileobj=stream, mtime=0) as packed:
        image.to_stream(packed)
