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


def own_affine(image: Any) -> NDArray[np.float64]:
    """Return the affine (4, 4) of the file that an image was loaded from, voxels to millimeters in RAS+.

    Of NIfTI it is read again: where the parts of a header contradict each other MONAI mends it, and a viewer, which
    does not, would show image and segmentation in different places.
    """
    source = str(image.meta.get(ImageMetaKey.FILENAME_OR_OBJ, ""))
    if source.lower().endswith((".nii", ".nii.gz")) and Path(source).is_file():
        return np.asarray(nib.load(source).affine, dtype=np.float64)
    return np.asarray(image.meta.get(MetaKeys.ORIGINAL_AFFINE, image.affine), dtype=np.float64)


def own_shape(image: Any) -> tuple[int, ...]:
    """Return the voxels along each axis of the file that an image was loaded from."""
    return tuple(int(n) for n in image.meta.get(MetaKeys.SPATIAL_SHAPE, image.shape[1:]))


def write_nifti(path: Path, volume: NDArray[Any], affine: NDArray[np.float64]) -> None:
    """Write a volume (X, Y, Z) as ``.nii.gz``, with the affine in qform and sform, in millimeters; it appears whole.

    It is written slice by slice, and the same voxels give the same bytes.
    """
    image = nib.Nifti1Image(volume, affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, code="scanner")
    image.set_qform(affine, code="scanner")
    # label maps shrink to little at any level, and the lowest takes the least time
    with atomic_open(path) as stream, gzip.GzipFile("", "wb", compresslevel=1, fileobj=stream, mtime=0) as packed:
        image.to_stream(packed)
