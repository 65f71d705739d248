"""The forms in which people have the abdominal CT challenge (BTCV, on Synapse)."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np

from fewlabel.data.files.volumes import read_header
from fewlabel.data.public.preparation import Scan, Source
from fewlabel.data.public.slice_files import numbered_slices, stacked
from fewlabel.data.public.source_files import Sources, add_source

WINDOW = (-125, 275)  # Hounsfield units
# TransUNet's files hold none, and its distances are in voxels: with these millimeters ours are too
NOMINAL_SPACING = (1.0, 1.0, 1.0)

_IMAGE = re.compile(r"img(\d{4})\.nii(\.gz)?")
_SLICE = re.compile(r"case(\d{4})_slice(\d{3})\.npz")
_VOLUME = re.compile(r"case(\d{4})\.npy\.h5")


def find_synapse(raw: Path) -> tuple[str, Sources]:
    """Find the scans below a folder.

    The forms, and the first that is found counts:

    - ``challenge``: ``img0001.nii.gz`` with ``label0001.nii.gz``, at any depth; scans without a label map, the
      challenge's own test scans, are passed over;
    - ``transunet``: ``case0005_slice000.npz`` for training and ``case0001.npy.h5`` for the test, at any depth: cut to
      -125 to 275 HU and scaled to 0 to 1.

    Returns:
        The form, and the sources by the scans' numbers, four digits.

    Raises:
        FileNotFoundError: when the folder does not exist or holds neither form.
        ValueError: when a scan is there twice or slices are missing in between.

    """
    if not raw.is_dir():
        raise FileNotFoundError(f"the raw folder {raw} does not exist: expected the unpacked abdominal CT download")
    if sources := _challenge(raw):
        return "challenge", sources
    sources = {
        name: Source(name, paths, functools.partial(_read_slices, paths))
        for name, paths in numbered_slices(raw, "case*_slice*.npz", _SLICE, first=0).items()
    }
    for path in sorted(raw.rglob("case*.npy.h5")):
        if match := _VOLUME.fullmatch(path.name):
            add_source(sources, Source(match[1], (path,), functools.partial(_read_volume, path)))
    if sources:
        return "transunet", sources
    raise FileNotFoundError(
        f"{raw} holds no scan of the abdominal CT challenge: expected img0001.nii.gz with label0001.nii.gz, or "
        "TransUNet's train_npz/case0005_slice000.npz and test_vol_h5/case0001.npy.h5"
    )


def _challenge(raw: Path) -> Sources:
    labels = {path.name: path for path in sorted(raw.rglob("label*.nii*"))}
    sources: Sources = {}
    for image in sorted(raw.rglob("img*.nii*")):
        if match := _IMAGE.fullmatch(image.name):
            label = labels.get(f"label{match[1]}.nii.gz") or labels.get(f"label{match[1]}.nii")
            if label is not None:
                read = functools.partial(_read_nifti, image, label)
                add_source(sources, Source(match[1], (image, label), read, recipe=f"cut to {WINDOW} HU"))
    return sources


def _read_nifti(image_path: Path, label_path: Path) -> Scan:
    for path in (image_path, label_path):
        read_header(path)  # refuses what memory does not hold
    image, label = nib.load(image_path), nib.load(label_path)
    voxels = np.clip(np.asarray(image.dataobj), *WINDOW)
    return Scan(np.rint(voxels).astype(np.int16), np.asarray(label.dataobj), image.affine, image.header)


def _read_slices(paths: Sequence[Path]) -> Scan:
    image, label = [], []
    for path in paths:
        with np.load(path) as file:  # allow_pickle is off: nothing of a stranger's file is executed
            image.append(file["image"])
            label.append(file["label"])
    return _scan(stacked(paths, image), stacked(paths, label))


def _read_volume(path: Path) -> Scan:
    try:
        import h5py
    except ImportError as error:
        raise ImportError("h5 files need h5py: pip install 'fewlabel[formats]'") from error
    with h5py.File(path, "r") as file:
        return _scan(np.asarray(file["image"]), np.asarray(file["label"]))


def _scan(image: np.ndarray, label: np.ndarray) -> Scan:
    """Reverse the axes of ``(slices, rows, columns)`` to ours."""
    return Scan(image.T.astype(np.float32), label.T, np.diag([*NOMINAL_SPACING, 1.0]))
