"""Refuse volumes that would spoil a training run or a result, by name."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.transforms import MapTransform


class CheckCased(MapTransform):
    """Pass a case on unchanged if its image is finite and its label holds known classes only.

    Args:
        num_classes: classes a label may hold, 0 to ``num_classes - 1``; None skips that check.
        image_key: key of the image, (C, *spatial).
        label_key: key of the label, (1, *spatial); may be absent. None where no case has one.
        ignored: a further value that a label may hold, of voxels that nobody annotated.

    Raises:
        ValueError: the image holds NaN or infinity, the label a value that is no class, or the two differ in
            shape. The message names the file.
    """

    def __init__(
        self,
        num_classes: int | None = None,
        image_key: str = "image",
        label_key: str | None = "label",
        ignored: int | None = None,
    ) -> None:
        super().__init__([image_key] if label_key is None else [image_key, label_key], allow_missing_keys=True)
        self.num_classes = num_classes
        self.image_key = image_key
        self.label_key = label_key
        self.ignored = ignored

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the case as it came."""
        case = dict(data)
        image = case[self.image_key]
        bad = int((~torch.isfinite(image)).sum())
        if bad:
            raise ValueError(
                f"{_file(image)}: {bad} of {image.numel()} voxels are NaN or infinite; "
                "replace them (by the volume's minimum, say) or leave the case out"
            )
        if self.label_key is not None and self.label_key in case:
            self._check_label(image, case[self.label_key])
        return case

    def _check_label(self, image: torch.Tensor, label: torch.Tensor) -> None:
        if image.shape[1:] != label.shape[1:]:
            raise ValueError(
                f"{_file(label)}: the label's shape {tuple(label.shape[1:])} differs from its image's "
                f"{tuple(image.shape[1:])}; resample the label onto the image's grid"
            )
        if self.num_classes is None:
            return
        values = torch.unique(torch.as_tensor(label)).tolist()
        unknown = [v for v in values if v not in range(self.num_classes) and v != self.ignored]
        if unknown:
            raise ValueError(
                f"{_file(label)}: label values {unknown[:8]} are not among the {self.num_classes} classes 0 to "
                f"{self.num_classes - 1}; mend the label, or name the classes in dataset.json and set --num_classes"
            )


def _file(volume: torch.Tensor) -> str:
    return str(getattr(volume, "meta", {}).get("filename_or_obj", "volume"))
