"""Bring a prediction and its reference to the form in which they are compared."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.transforms import MapTransform


class OneHotClassesd(MapTransform):
    """Turn logits and a label map into zeros and ones by class.

    A voxel that nobody annotated, :data:`fewlabel.conventions.labels.IGNORED` in the label, is of no class there: all
    its K values are 0, by which metrics know it, see :func:`fewlabel.handlers.counted_pairs`.

    Args:
        num_classes: K.
        prediction_key: key of the logits (K, *spatial).
        label_key: key of the label map (1, *spatial); may be absent.
    """

    def __init__(self, num_classes: int, prediction_key: str = "pred", label_key: str = "label") -> None:
        super().__init__([prediction_key, label_key], allow_missing_keys=True)
        self.num_classes = num_classes
        self.prediction_key = prediction_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the case with (K, *spatial) float32 under both keys."""
        case = dict(data)
        for key in self.key_iterator(case):
            classes = case[key].argmax(dim=0, keepdim=True) if key == self.prediction_key else case[key]
            numbers = torch.arange(self.num_classes, device=classes.device)
            case[key] = (classes == numbers.view(-1, *[1] * (classes.ndim - 1))).float()
        return case
