"""Surfaces of binary masks and the distances between them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
Distances = NDArray[np.float64]


def surface(mask: Mask) -> Mask:
    """Voxels of a mask that touch the background through a face, the border of the array counting as background.

    ``surface = mask xor erode(mask)``, where the erosion uses the cross (connectivity 1), as medpy does.

    Args:
        mask: boolean array of any shape ``(*spatial)``.

    Returns:
        A boolean array of the same shape.

    Example:
        >>> surface(np.ones((3, 3), dtype=bool)).astype(int)
        array([[1, 1, 1],
               [1, 0, 1],
               [1, 1, 1]])

    """
    cross = ndimage.generate_binary_structure(mask.ndim, 1)
    border: Mask = mask ^ ndimage.binary_erosion(mask, structure=cross)
    return border


def surface_distances(
    prediction: Mask, reference: Mask, spacing: Sequence[float] | None = None
) -> tuple[Distances, Distances]:
    """Both directed sets of distances between the surfaces of two masks.

    For every surface voxel of one mask: the Euclidean distance between its center and that of the nearest surface
    voxel of the other mask. Exact: all surface voxels are inside the bounding box of the union, so the distance
    transforms run on that box alone.

    Args:
        prediction: boolean array of any shape ``(*spatial)`` with at least one voxel set.
        reference: boolean array of the same shape with at least one voxel set.
        spacing: distance between neighboring voxels along each axis; 1 along every axis when ``None``.

    Returns:
        The distances from the prediction to the reference, and from the reference to the prediction, in the unit of
        ``spacing``, one value per surface voxel.

    Raises:
        ValueError: if a mask is empty, because no distance is defined then.

    Example:
        >>> a, b = np.zeros((2, 1, 9), dtype=bool)
        >>> a[0, 1], b[0, 4] = True, True
        >>> surface_distances(a, b, spacing=(1.0, 0.5))
        (array([1.5]), array([1.5]))

    """
    for name, mask in (("prediction", prediction), ("reference", reference)):
        if not mask.any():
            raise ValueError(
                f"The {name} is empty, and the distance to an empty surface is undefined: check that both masks hold "
                "at least one voxel first, or call fewlabel.metrics.scores, which handles empty masks."
            )
    box = _bounding_box(prediction | reference)
    border_p = surface(prediction[box])
    border_r = surface(reference[box])
    to_reference: Distances = ndimage.distance_transform_edt(~border_r, sampling=spacing)[border_p]
    to_prediction: Distances = ndimage.distance_transform_edt(~border_p, sampling=spacing)[border_r]
    return to_reference, to_prediction


def _bounding_box(mask: Mask) -> tuple[slice, ...]:
    # scipy's find_objects takes integers; one object, so one box.
    box: tuple[slice, ...] = ndimage.find_objects(mask.view(np.uint8))[0]
    return box
