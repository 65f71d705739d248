"""Small stand-ins for the forms in which people have the abdominal CT of Synapse."""

from __future__ import annotations

from pathlib import Path

import h5py
import nibabel as nib
import numpy as np

from fewlabel.data.public.synapse_labels import EIGHT, THIRTEEN

# two for training in the order of the list, one for the test
SCANS = {"0031": 11, "0007": 3, "0008": 4}
AFFINE = np.array([[-0.7, 0, 0, 10], [0, 0.7, 0, -20], [0, 0, 3.0, 30], [0, 0, 0, 1]])
SIZES = {"liver": 9, "spleen": 4, "left kidney": 4, "right kidney": 4, "stomach": 4, "aorta": 3}  # others: 1


def ct(name: str) -> tuple[np.ndarray, np.ndarray]:
    """An image ``(7, 9, Z)`` in HU, and a label map of 13 organs in which kidneys are larger than the gallbladder."""
    shape = (7, 9, SCANS[name])
    image = np.random.default_rng(int(name)).integers(-1000, 900, shape).astype(np.int16)
    plane = np.repeat(np.arange(len(THIRTEEN)), [1, *(SIZES.get(organ, 1) for organ in THIRTEEN[1:])])
    label = np.zeros(7 * 9, np.uint8)
    label[: len(plane)] = plane
    return image, np.broadcast_to(label.reshape(7, 9, 1), shape).copy()


def challenge(raw: Path, inside: str = "RawData/Training") -> None:
    for name in SCANS:
        for kind, voxels in zip(("img", "label"), ct(name), strict=True):
            path = raw / inside / kind / f"{kind}{name}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(voxels, AFFINE), path)


def transunet(raw: Path, names: tuple[str, ...] = EIGHT) -> None:
    """As TransUNet gives them away: slices for training, volumes for the test."""
    for folder in ("train_npz", "test_vol_h5"):
        (raw / folder).mkdir(parents=True, exist_ok=True)
    for name in SCANS:
        image, label = ct(name)
        image = ((np.clip(image, -125, 275) + 125.0) / 400).astype(np.float32)
        label = np.array([names.index(organ) if organ in names else 0 for organ in THIRTEEN], np.float32)[label]
        if name == "0008":
            with h5py.File(raw / "test_vol_h5" / f"case{name}.npy.h5", "w") as file:
                file["image"], file["label"] = image.T, label.T
            continue
        for k in range(SCANS[name]):
            path = raw / "train_npz" / f"case{name}_slice{k:03d}.npz"
            np.savez(path, image=image[..., k].T, label=label[..., k].T)
