"""Where a turn by 90 degrees leaves a grid of voxels as it is."""

from __future__ import annotations

import math
from collections.abc import Sequence

_SAME = 0.01  # relative difference of two spacings that counts as none


def turns_by_quarters(size: Sequence[float], spacing: Sequence[float]) -> bool:
    """Return whether a quarter turn in the plane of the first two axes keeps a patch's shape and geometry.

    Args:
        size: voxels along each axis.
        spacing: millimeters along each axis.

    >>> turns_by_quarters((64, 64, 32), (2, 2, 5)), turns_by_quarters((64, 48, 32), (2, 2, 2))
    (True, False)
    """
    return size[0] == size[1] and math.isclose(spacing[0], spacing[1], rel_tol=_SAME)
