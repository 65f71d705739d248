"""Scale intensities, the same way in training, validation and inference."""

from __future__ import annotations

import logging
import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.data import MetaTensor
from monai.transforms import (
    MapTransform,
    NormalizeIntensity,
    ScaleIntensity,
    ScaleIntensityRange,
    ScaleIntensityRangePercentiles,
)

from fewlabel.conventions.intensity import check_intensity, looks_like_hounsfield
from fewlabel.conventions.orientation import find_reorientation

_log = logging.getLogger(__name__)


class ScaleIntensitiesd(MapTransform):
    """Scale the intensities of images by one of four rules, each MONAI's.

    - ``minmax``: the volume's own minimum and maximum become 0 and 1, as the papers on slices do;
    - ``zscore``: the volume's own mean and standard deviation become 0 and 1, as the papers on volumes do;
    - ``window``: ``low`` and ``high`` become 0 and 1, and what is beyond is clipped. For intensities with a meaning, as
      Hounsfield units: a window is the same for all scans, whatever padding or metal they show;
    - ``percentile``: the volume's own percentiles ``low`` and ``high`` (0.5 and 99.5) become 0 and 1, and what is
      beyond is clipped.

    A scan stored in another orientation gives the same values, to the last bit. Of several channels each is scaled by
    itself.

    Args:
        intensity: ``{"mode": ..., "low": ..., "high": ...}``; ``low`` and ``high`` may be absent or None where the
            mode has no use for them.
        keys: the images.

    Raises:
        ValueError: an unknown mode, or limits that are missing, superfluous or in the wrong order.

    >>> scan = {"image": torch.tensor([[[[-1000.0, -160.0, 40.0, 3000.0]]]])}
    >>> ScaleIntensitiesd({"mode": "window", "low": -160, "high": 240})(scan)["image"].flatten().tolist()
    [0.0, 0.0, 0.5, 1.0]
    """

    def __init__(self, intensity: Mapping[str, Any], keys: Sequence[str] | str = "image") -> None:
        super().__init__(keys)
        self.mode, self.low, self.high = check_intensity(intensity)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the case with scaled images, float32."""
        case = dict(data)
        for key in self.key_iterator(case):
            image = case[key]
            channels = [self._scale(image[number : number + 1]) for number in range(len(image))]
            case[key] = channels[0] if len(channels) == 1 else torch.cat(channels)
        return case

    def _scale(self, image: torch.Tensor) -> torch.Tensor:
        if self.mode == "zscore":
            mean, deviation = _moments(image)
            scaled: torch.Tensor = NormalizeIntensity(subtrahend=mean, divisor=deviation)(image)
        elif self.mode == "window":
            scaled = ScaleIntensityRange(self.low, self.high, 0.0, 1.0, clip=True)(image)
        elif self.mode == "percentile":
            scaled = ScaleIntensityRangePercentiles(self.low, self.high, 0.0, 1.0, clip=True)(image)
        else:
            if looks_like_hounsfield(float(image.min()), float(image.max())):
                _log.warning(
                    "%s: looks like Hounsfield units and is scaled by its own minimum and maximum, padding and metal "
                    "included; `fewlabel check` recommends a window, see --intensity",
                    getattr(image, "meta", {}).get("filename_or_obj", "an image"),
                )
            scaled = ScaleIntensity()(image)
        return scaled


def _moments(image: torch.Tensor) -> tuple[float, float]:
    """Return mean and standard deviation, summed in the order of the canonical orientation: rounding depends on it."""
    values = torch.as_tensor(image).as_subclass(torch.Tensor).float()
    if isinstance(image, MetaTensor) and image.ndim == 4:
        order = find_reorientation(image.affine, image.shape[1:])
        if not order.is_identity:
            axes = (3, 2, 1, 0)  # files are read with their first axis as the fastest
            values = order.apply(values).permute(axes).contiguous().permute(axes)
    deviation = float(torch.std(values, unbiased=False))
    return float(torch.mean(values)), deviation if math.isfinite(deviation) and deviation > 0 else 1.0
