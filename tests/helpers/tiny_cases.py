"""Three tiny labeled scans on three grids, and an evaluator that segments them with a network of two parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator
from monai.transforms import AsDiscreted, LoadImaged
from torch import Tensor, nn

from fewlabel.handlers import StrictMeanDice

LABELS = {0: "background", 1: "ring", 2: "core"}


class Thresholds(nn.Module):
    """Classes by two thresholds on the gray value: logits (B, 3, *spatial)."""

    def __init__(self, low: float = 0.0, high: float = 0.0) -> None:
        super().__init__()
        self.low, self.high = nn.Parameter(torch.tensor(low)), nn.Parameter(torch.tensor(high))

    def forward(self, x: Tensor) -> Tensor:
        ring, core = x > self.low, x > self.high
        return torch.cat([~ring, ring & ~core, core], dim=1).float()

    def classes(self, image: np.ndarray) -> np.ndarray:
        return (image > self.low.item()).astype(np.uint8) + (image > self.high.item()).astype(np.uint8)


def write_cases(folder: Path) -> list[dict[str, str]]:
    """Write the scans; each has another shape, spacing and orientation."""
    items = []
    for number in range(3):
        generator = np.random.default_rng(number)
        shape = (7 + number, 6, 4)
        image = generator.random(shape).astype(np.float32)
        label = (image > 0.4).astype(np.uint8) + (image > 0.7).astype(np.uint8)
        affine = np.diag([1.5 - 3 * (number == 1), 1.0 + number, -3.0, 1.0])
        affine[:3, 3] = [10, -20, 30 * number]
        name = f"scan.{number}"
        item = {"case": f"patient{number}", "volume": name}
        for key, volume in (("image", image), ("label", label)):
            file = folder / f"{key}s" / f"{name}.nii.gz"
            file.parent.mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(volume, affine), file)
            item[key] = str(file)
        items.append(item)
    return items


def case_evaluator(items: list[dict[str, str]], network: nn.Module, **settings: Any) -> SupervisedEvaluator:
    """Return an evaluator as the bundles build it."""
    dataset = Dataset(items, LoadImaged(["image", "label"], ensure_channel_first=True))
    return SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(dataset, batch_size=1),
        network=network,
        postprocessing=AsDiscreted(["pred", "label"], argmax=[True, False], to_onehot=3),
        key_val_metric={"val_mean_dice": StrictMeanDice()},
        **settings,
    )
