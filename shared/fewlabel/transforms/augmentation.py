"""The slice augmentation that the thesis' methods share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from monai.transforms import Compose, Identityd, OneOf, RandAxisFlipd, RandRotate90d, RandRotated, Resized


class SliceAugmentationd(Compose):
    """Turn or flip a slice at random, then resize it to the network's input size.

    Half of the slices are turned by a uniform multiple of 90 degrees and then flipped along a random axis, a
    quarter are rotated by a uniform angle, a quarter stay as they are: the augmentation of the released MCSC and
    CS-UNet code. The theses' text speaks of random crops; no released code crops, all of it resizes.

    Every step is an affine that MONAI tracks, so a pixel can be followed back to its scan. The flips mirror left
    and right: for organs that come in sides set ``flips=False``.

    Args:
        size: rows and columns of the result.
        keys: ``image`` is interpolated linearly and ``label`` by the nearest neighbor; a missing key is passed over.
        angle: largest rotation in degrees.
        flips: whether slices may be turned by 90 degrees and mirrored. Without, those slices are rotated.
        published_resize: resize images by the nearest neighbor, as the released SSL4MIS and MCSC code does.
    """

    def __init__(
        self,
        size: Sequence[int],
        keys: Sequence[str] = ("image", "label"),
        angle: float = 20.0,
        flips: bool = True,
        published_resize: bool = False,
    ) -> None:
        linear = ["nearest" if key == "label" else "bilinear" for key in keys]
        nearest_resize = ["nearest" if key == "label" or published_resize else "bilinear" for key in keys]
        turn_and_flip = Compose(
            [
                # three quarters of the time by 90, 180 or 270 degrees: uniform over all four turns
                RandRotate90d(keys, prob=0.75, max_k=3, allow_missing_keys=True),
                RandAxisFlipd(keys, prob=1.0, allow_missing_keys=True),
            ]
        )
        rotate = RandRotated(
            keys,
            range_x=float(np.deg2rad(angle)),
            prob=1.0,
            mode=linear,
            padding_mode="zeros",
            allow_missing_keys=True,
        )
        weights = [0.5, 0.25, 0.25] if flips else [0.0, 0.75, 0.25]
        super().__init__(
            [
                OneOf([turn_and_flip, rotate, Identityd(keys, allow_missing_keys=True)], weights=weights),
                Resized(keys, tuple(size), mode=nearest_resize, allow_missing_keys=True),
            ]
        )
