"""Small stand-ins for the forms in which people have the left-atrium challenge."""

from __future__ import annotations

from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import SimpleITK

# Two for training, in published order; one for validation, one for the test.
TRAINING = ["06SR5RBREL16DQ6M8LWS", "0RZDK210BSMWAA6467LU"]
VALIDATION, TEST = "UZUZZT2W9IUSHL6ASOX3", "UPT6DX9IQY9JAZ7HJKA7"
NAMES = [*TRAINING, VALIDATION, TEST]
SHAPE = (9, 8, 5)
SPACING = (0.625, 0.625, 0.625)


def scan(name: str) -> tuple[np.ndarray, np.ndarray]:
    """An image whose values tell the scan, and a label map that fills a box of it."""
    label = np.zeros(SHAPE, np.uint8)
    label[3:6, 2:5, 1:4] = 1
    return np.random.default_rng(NAMES.index(name)).integers(0, 200, SHAPE).astype(np.uint8), label


def challenge(raw: Path) -> None:
    for name in NAMES:
        folder = raw / "Training Set" / name
        folder.mkdir(parents=True)
        image, label = scan(name)
        for file, voxels in (("lgemri.nrrd", image), ("laendo.nrrd", label * 255)):
            volume = SimpleITK.GetImageFromArray(voxels.T)
            volume.SetSpacing(SPACING)
            SimpleITK.WriteImage(volume, str(folder / file))


def nifti(raw: Path) -> None:
    for name in NAMES:
        for folder, voxels in zip(("images", "labels"), scan(name), strict=True):
            (raw / folder).mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(voxels, np.diag([*SPACING, 1])), raw / folder / f"{name}.nii")


def h5(raw: Path) -> None:
    for name in NAMES:
        (raw / name).mkdir(parents=True)
        image, label = scan(name)
        with h5py.File(raw / name / "mri_norm2.h5", "w") as file:
            file["image"], file["label"] = image.astype(np.float32), label


FORMS = {"challenge": challenge, "nifti": nifti, "h5": h5}


def quiet(line: str) -> None:
    pass
