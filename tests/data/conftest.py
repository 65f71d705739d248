from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest


class MadeUpDataset:
    """A tiny dataset in a folder; every method returns the path it wrote."""

    shape = (6, 5, 4)
    affine = np.array([[-1.5, 0, 0, 90], [0, -1.5, 0, 120], [0, 0, 10, -40], [0, 0, 0, 1]], dtype=np.float64)

    def __init__(self, root: Path) -> None:
        self.root = root
        self._drawn = 0

    def voxels(self, shape: tuple[int, ...] = shape) -> np.ndarray:
        self._drawn += 1
        return np.random.default_rng(self._drawn).normal(100, 20, shape).astype(np.float32)

    def write(self, name: str, array: np.ndarray, affine: np.ndarray = affine) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(array, affine), path)
        return path

    def image(self, name: str, half: str = "Tr", ending: str = ".nii.gz") -> Path:
        return self.write(f"images{half}/{name}{ending}", self.voxels())

    def label(self, name: str, half: str = "Tr", ending: str = ".nii.gz") -> Path:
        array = np.zeros(self.shape, np.uint8)
        array[1:3, 1:3], array[3:5, 1:3] = 1, 2
        return self.write(f"labels{half}/{name}{ending}", array)

    def pair(self, name: str, half: str = "Tr") -> tuple[Path, Path]:
        return self.image(name, half), self.label(name, half)

    def json(self, name: str, content: Any) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    def describe(self, **extra: Any) -> Path:
        return self.json("dataset.json", {"labels": {"background": 0, "liver": 1, "tumor": 2}, **extra})

    def training(self, labeled: int, unlabeled: int = 0) -> MadeUpDataset:
        """Write `labeled` scans a00, a01, ... with and `unlabeled` scans u00, ... without label maps."""
        self.describe()
        for index in range(labeled):
            self.pair(f"a{index:02d}")
        for index in range(unlabeled):
            self.image(f"u{index:02d}")
        return self


@pytest.fixture
def dataset(tmp_path: Path) -> MadeUpDataset:
    """A folder that the test fills."""
    return MadeUpDataset(tmp_path / "data")


@pytest.fixture
def acdc_like(dataset: MadeUpDataset) -> MadeUpDataset:
    """Three patients with two frames each, all labeled, and the published order patient 3, 1; patient 2 validates."""
    dataset.describe()
    cases = {f"patient{p:03d}": [f"patient{p:03d}_frame01", f"patient{p:03d}_frame{p + 10}"] for p in (1, 2, 3)}
    for volumes in cases.values():
        for volume in volumes:
            dataset.pair(volume)
    splits = {"labeled": ["patient003", "patient001"], "unlabeled": [], "validation": ["patient002"], "test": []}
    dataset.json("splits.json", {**splits, "cases": cases})
    return dataset
