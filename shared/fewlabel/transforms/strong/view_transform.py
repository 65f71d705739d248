"""A second, strongly changed view of an image, for methods whose networks are to see both alike."""

from __future__ import annotations

from monai.transforms import (
    Compose,
    CopyItemsd,
    RandAdjustContrastd,
    RandGaussianNoised,
    RandGaussianSmoothd,
    RandShiftIntensityd,
)


class StrongViewd(Compose):
    """Copy an image and change the copy's intensities at random: noise, blur, contrast, brightness.

    The geometry stays that of the image, so that voxels of both views, and labels, correspond. DK-UXNet (ISBI 2024)
    names weak and strong views and says no more; the strengths here are for standardized images. Turn and mirror the
    image before.

    Args:
        key: the weak view.
        strong_key: where the strong view goes.
        prob: of each change.
        noise: largest standard deviation of Gaussian noise.
        sigma: least and largest blur, standard deviations in voxels.
        gamma: least and largest exponent of the contrast, over the range between minimum and maximum.
        shift: largest change of brightness, up or down.

    Raises:
        ValueError: ``prob`` is no probability.

    >>> import torch
    >>> views = StrongViewd().set_random_state(seed=0)({"image": torch.rand(1, 8, 8, 8)})
    >>> views["strong"].shape
    torch.Size([1, 8, 8, 8])
    """

    def __init__(
        self,
        key: str = "image",
        strong_key: str = "strong",
        prob: float = 0.5,
        noise: float = 0.1,
        sigma: tuple[float, float] = (0.5, 1.0),
        gamma: tuple[float, float] = (0.7, 1.5),
        shift: float = 0.1,
    ) -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f"prob must be a probability in [0, 1], got {prob}")
        super().__init__(
            [
                CopyItemsd(key, names=strong_key),
                RandGaussianNoised(strong_key, prob=prob, std=noise),
                RandGaussianSmoothd(strong_key, sigma_x=sigma, sigma_y=sigma, sigma_z=sigma, prob=prob),
                RandAdjustContrastd(strong_key, prob=prob, gamma=gamma),
                RandShiftIntensityd(strong_key, offsets=shift, prob=prob),
            ]
        )
