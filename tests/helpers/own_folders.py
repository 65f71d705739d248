"""Two folders of scans or pictures, as people have them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from PIL import Image

from fewlabel.data.own.dataset import prepare_folders

RANDOM = np.random.default_rng(0)


class Folders:
    """Two folders that a test fills, and a third that is made of them."""

    def __init__(self, root: Path) -> None:
        self.images, self.labels, self.out = root / "images", root / "labels", root / "out"
        self.images.mkdir()
        self.labels.mkdir()
        self.lines: list[str] = []

    def scan(self, name: str) -> np.ndarray:
        voxels = RANDOM.normal(size=(6, 5, 4)).astype(np.float32)
        nib.save(nib.Nifti1Image(voxels, np.diag([1.5, 1.5, 5, 1])), self.images / name)
        return voxels

    def mask(self, name: str, values: tuple[int, ...] = (0, 1), shape: tuple[int, ...] = (6, 5, 4)) -> np.ndarray:
        voxels = np.resize(np.array(values, np.uint8), shape)
        nib.save(nib.Nifti1Image(voxels, np.diag([1.5, 1.5, 5, 1])), self.labels / name)
        return voxels

    def picture(self, name: str, size: tuple[int, int] = (7, 9)) -> np.ndarray:
        """`size` counts rows and columns."""
        return self.save(self.images / name, RANDOM.integers(0, 255, size).astype(np.uint8))

    def drawn(self, name: str, values: tuple[int, ...] = (0, 255), size: tuple[int, int] = (7, 9)) -> np.ndarray:
        return self.save(self.labels / name, np.resize(np.array(values, np.uint8), size))

    def save(self, path: Path, array: np.ndarray) -> np.ndarray:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(path)
        return array

    def prepare(self, **options: Any) -> Path:
        return prepare_folders(self.images, self.labels, self.out, report=self.lines.append, **options)

    def stored(self, kind: str, name: str) -> np.ndarray:
        return np.asarray(nib.load(self.out / f"{kind}Tr" / f"{name}.nii.gz").dataobj)

    def description(self) -> Any:
        return json.loads((self.out / "dataset.json").read_text())
