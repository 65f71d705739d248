"""Cut scans to the surroundings of what is labeled, and resample them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import zoom

from fewlabel.data.public.preparation import Scan


def crop_to_label(scan: Scan, margin: int, axes: Sequence[int] = (0, 1, 2), smallest: int = 1) -> Scan:
    """Cut a scan to its label's bounding box.

    The region comes from the label, of test scans too: results on such scans are those of a segmentation whose
    surroundings are known.

    Args:
        scan: the scan; what it shows stays where it is in millimeters.
        margin: voxels to keep around the box.
        axes: axes along which to cut.
        smallest: voxels to keep along these axes at least, as far as the scan has them.

    Raises:
        ValueError: when the margin is negative or nothing is labeled.

    """
    if isinstance(margin, bool) or not isinstance(margin, int) or margin < 0:
        raise ValueError(f"margin is {margin!r}, but it must be a whole number of voxels, 0 or more")
    if not scan.label.any():
        raise ValueError("the label map is empty, so there is no region to crop to: prepare the scans whole")
    start, stop = [0] * 3, list(scan.label.shape)
    for axis in axes:
        count = scan.label.shape[axis]
        inside = np.flatnonzero(scan.label.any(axis=tuple(other for other in range(3) if other != axis)))
        low, high = int(inside[0]) - margin, int(inside[-1]) + 1 + margin
        lacking = max(0, smallest - (high - low))
        low, high = low - lacking // 2, high + (lacking + 1) // 2
        start[axis], stop[axis] = max(0, low), min(count, high)
    region = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    affine = scan.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ np.asarray(start)
    return Scan(scan.image[region], scan.label[region], affine, scan.header)


def resample(scan: Scan, spacing: float) -> Scan:
    """Resample a scan to voxels of equal sides: the image linearly, the label by the nearest neighbor.

    Args:
        scan: the scan; the field of view stays the same to less than a voxel.
        spacing: millimeters along every axis.

    """
    own = np.linalg.norm(scan.affine[:3, :3], axis=0)
    shape = np.maximum(1, np.rint(np.asarray(scan.image.shape) * own / spacing)).astype(int)
    factors = shape / np.asarray(scan.image.shape)
    voxels = {"grid_mode": True, "mode": "nearest"}
    image = zoom(scan.image.astype(np.float32), factors, order=1, **voxels)
    label = zoom(scan.label, factors, order=0, **voxels)
    affine = scan.affine.copy()
    affine[:3, :3] = affine[:3, :3] / factors
    # voxels are boxes: the first center moves with the size of the box
    affine[:3, 3] += scan.affine[:3, :3] @ ((1 / factors - 1) / 2)
    return Scan(image, label, affine)
