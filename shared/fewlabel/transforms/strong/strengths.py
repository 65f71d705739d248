"""How strongly images are changed."""

from __future__ import annotations

from dataclasses import dataclass

Limits = tuple[float, float]


@dataclass(frozen=True)
class Strengths:
    """Limits and probabilities of the strong augmentation; the defaults are those for slices.

    What concerns intensities is relative to the image's own spread, so that it means the same for images in [0, 1] and
    for standardized ones: see :func:`fewlabel.transforms.strong.intensities.spread_of`.

    Args:
        angle: largest rotation, degrees.
        scale: least and largest factor by which things grow, along each axis by itself; its logarithm is drawn evenly.
        shift: largest displacement, as a fraction of each side.
        geometry_prob: with which an image is rotated, and with which it is scaled.
        noise: largest standard deviation of Gaussian noise, as a fraction of the spread.
        gamma: least and largest exponent.
        factor: least and largest factor of brightness, about the minimum, or of contrast, about the mean.
        tone_prob: with which an image gets noise, with which a gamma, with which a factor.
        blur: least and largest standard deviation of a Gaussian blur, pixels.
        resolution: least and largest factor of the resolution that an image loses.
        sharpness_prob: with which an image is blurred, and with which it loses resolution.

    Raises:
        ValueError: a limit or a probability is out of range; the message names it.

    >>> Strengths(angle=10).scale
    (0.7, 1.35)
    """

    angle: float = 30.0
    scale: Limits = (0.7, 1.35)
    shift: float = 0.06
    geometry_prob: float = 0.6
    noise: float = 0.06
    gamma: Limits = (0.6, 1.6)
    factor: Limits = (0.7, 1.3)
    tone_prob: float = 0.3
    blur: Limits = (0.5, 1.2)
    resolution: Limits = (0.5, 0.9)
    sharpness_prob: float = 0.2

    def __post_init__(self) -> None:
        for name in ("angle", "shift", "noise"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be a number, 0 or more, got {getattr(self, name)!r}")
        for name in ("geometry_prob", "tone_prob", "sharpness_prob"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be a probability in [0, 1], got {getattr(self, name)!r}")
        for name in ("scale", "gamma", "factor", "blur", "resolution"):
            limits = tuple(getattr(self, name))
            if len(limits) != 2 or not 0 < limits[0] <= limits[1] < float("inf"):
                raise ValueError(f"{name} must be two positive numbers, the smaller first, got {limits!r}")
            object.__setattr__(self, name, limits)  # JSON has lists
        if self.resolution[1] > 1:
            raise ValueError(f"resolution must be two factors in (0, 1], got {self.resolution!r}")
