"""The augmentation that a name stands for."""

from __future__ import annotations

from collections.abc import Sequence

from monai.transforms import Compose, MapTransform, RandFlipd, RandSpatialCropd, SpatialPadd

from fewlabel.conventions.augmentation import is_strong
from fewlabel.conventions.labels import LABEL_KEYS
from fewlabel.parsing import parse_arguments
from fewlabel.transforms.augmentation import SliceAugmentationd
from fewlabel.transforms.strong.augmentation import StrongPatchAugmentationd, StrongSliceAugmentationd
from fewlabel.transforms.strong.strengths import Strengths
from fewlabel.transforms.turns import RandTurnd

_KEYS = ("image", *LABEL_KEYS)


@parse_arguments
def slice_augmentation(
    name: str,
    size: Sequence[int],
    flips: bool = True,
    angle: float = 20.0,
    released_resize: bool = False,
    strengths: Strengths | None = None,
) -> SliceAugmentationd | StrongSliceAugmentationd:
    """Return the augmentation of slices that a name stands for.

    Args:
        name: "published" for :class:`fewlabel.transforms.SliceAugmentationd`, "strong" for
            :class:`fewlabel.transforms.StrongSliceAugmentationd`.
        size: rows and columns of the result.
        flips: whether slices may be mirrored.
        angle: of the published one, largest rotation in degrees.
        released_resize: of the published one, interpolate images by the nearest neighbor.
        strengths: of the strong one.

    Raises:
        ValueError: no such name, or an argument that the augmentation refuses.
    """
    if is_strong(name):
        if released_resize:
            raise ValueError("released_resize belongs to the published augmentation; leave it out, or set it to false")
        return StrongSliceAugmentationd(size, flips=flips, strengths=strengths)
    return SliceAugmentationd(size, angle=angle, flips=flips, released_resize=released_resize)


@parse_arguments
def patch_augmentation(
    name: str,
    size: Sequence[int],
    spacing: Sequence[float] | None = None,
    flips: bool = True,
    turn_prob: float = 0.75,
    flip_prob: float = 0.5,
    strengths: Strengths | None = None,
    then: Sequence[MapTransform | Compose] = (),
) -> Compose | StrongPatchAugmentationd:
    """Return the augmentation of patches of volumes that a name stands for.

    Args:
        name: "published" for the papers' on the left atrium: a random patch, turned by a random multiple of 90 degrees
            in the plane of the first two axes, see :class:`fewlabel.transforms.RandTurnd`, and mirrored along the
            first; "strong" for :class:`fewlabel.transforms.StrongPatchAugmentationd`.
        size: voxels of a patch along each axis.
        spacing: millimeters between voxels along each axis; None for equal ones.
        flips: whether patches may be mirrored.
        turn_prob: of the published one, probability of a turn.
        flip_prob: of the published one, probability that a patch which may be mirrored is.
        strengths: of the strong one.
        then: transforms that follow.

    Raises:
        ValueError: no such name, or an argument that the augmentation refuses.
    """
    if is_strong(name):
        strong = StrongPatchAugmentationd(size, spacing, flips=flips, strengths=strengths)
        return Compose([strong, *then]) if then else strong
    return Compose(
        [
            SpatialPadd(_KEYS, size, allow_missing_keys=True),
            RandSpatialCropd(_KEYS, size, random_size=False, allow_missing_keys=True),
            RandTurnd(_KEYS, size, spacing or (1.0, 1.0, 1.0), prob=turn_prob, allow_missing_keys=True),
            RandFlipd(_KEYS, prob=flip_prob if flips else 0.0, spatial_axis=0, allow_missing_keys=True),
            *then,
        ]
    )
