"""Small stand-ins for the forms in which people have ACDC."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np

from fewlabel.data.public.acdc import prepare_acdc

# Two training patients in published order (8 and 7 slices per frame), one for validation, one for the test.
PATIENTS = {"patient049": 7, "patient038": 8, "patient028": 3, "patient011": 3}
AFFINE = np.array([[-1.4, 0, 0, 10], [0, -1.4, 0, 20], [0, 0, 9.0, 30], [0, 0, 0, 1]])


def scan(name: str) -> tuple[np.ndarray, np.ndarray]:
    """An image of 6 x 5 voxels in plane whose values tell the volume, and a label map with every class."""
    shape = (6, 5, PATIENTS[name[:10]])
    rng = np.random.default_rng(int(name[7:10]) * 10 + int(name[-1]))
    label = rng.integers(0, 4, shape).astype(np.uint8)
    return rng.integers(0, 900, shape).astype(np.int16), label


def frames(patients: dict[str, int]) -> list[str]:
    return [f"{patient}_frame0{frame}" for patient in patients for frame in (1, 2)]


def save_nifti(path: Path, voxels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(voxels, AFFINE), path)


def challenge(raw: Path, inside: str = "database/training") -> None:
    for name in frames(PATIENTS):
        patient = raw / inside / name[:10]
        frame = {"1": "01", "2": "09"}[name[-1]]
        for suffix, voxels in zip(("", "_gt"), scan(name), strict=True):
            save_nifti(patient / f"{name[:10]}_frame{frame}{suffix}.nii.gz", voxels)
        save_nifti(patient / f"{name[:10]}_4d.nii.gz", np.zeros((6, 5, 3, 2), np.int16))
        (patient / "Info.cfg").write_text("ED: 1\nES: 9\nGroup: DCM\nHeight: 180.0\nNbFrame: 30\n")


def plain_nifti(raw: Path) -> None:
    for name in frames(PATIENTS):
        for folder, voxels in zip(("images", "labels"), scan(name), strict=True):
            save_nifti(raw / folder / f"{name}.nii", voxels)


def save_h5(path: Path, image: np.ndarray, label: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["image"], file["label"] = image, label


def h5_volumes(raw: Path) -> None:
    for name in frames(PATIENTS):
        image, label = scan(name)
        save_h5(raw / "data" / f"{name}.h5", image.T.astype(np.float32), label.T)


def h5_slices(raw: Path) -> None:
    for name in frames(PATIENTS):
        image, label = scan(name)
        for k in range(image.shape[2]):
            # ten and more slices would come before the second in alphabetical order
            save_h5(raw / "data" / "slices" / f"{name}_slice_{k + 1}.h5", image[..., k].T, label[..., k].T)


FORMS = {"challenge": challenge, "nifti": plain_nifti, "h5 volumes": h5_volumes, "h5 slices": h5_slices}


def quiet(line: str) -> None:
    pass


def prepare(raw: Path, out: Path, report: Callable[[str], None] = quiet) -> Path:
    return prepare_acdc(raw, out, allow_missing=True, report=report)
