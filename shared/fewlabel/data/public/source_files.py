"""Read the files of a download as scans: pairs of image and label map, HDF5, DICOM series."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

from fewlabel.data.files.volumes import read_header, read_volume
from fewlabel.data.public.preparation import Scan, Source

Sources = dict[str, Source]


def add_source(sources: Sources, source: Source) -> None:
    """Add a source under its name.

    Raises:
        ValueError: when there is one of that name; it names both files.

    """
    if source.name in sources:
        raise ValueError(
            f"{source.name} is there twice, {sources[source.name].files[0]} and {source.files[0]}: keep one of them"
        )
    sources[source.name] = source


def read_pair(image_path: Path, label_path: Path) -> Scan:
    """Read an image and a label map of any format; what is not 0 is label 1, and the image's geometry is taken."""
    image, affine = read_volume(image_path, finite=True)
    label, _ = read_volume(label_path, finite=True)
    return Scan(image, (label != 0).astype(np.uint8), affine)


def read_h5_pair(path: Path, spacing: tuple[float, float, float]) -> Scan:
    """Read ``image`` and ``label`` of an HDF5 file, axes (x, y, z) as the left-atrium studies write them."""
    try:
        import h5py
    except ImportError as error:
        raise ImportError("h5 files need h5py: pip install '.[formats]' in a checkout of fewlabel") from error
    with h5py.File(path, "r") as file:
        image, label = np.asarray(file["image"]), np.asarray(file["label"])
    return Scan(image, (label != 0).astype(np.uint8), np.diag([*spacing, 1.0]))


def read_dicom_with_label(folder: Path, label_path: Path) -> Scan:
    """Read the one DICOM series of a folder and a binary NIfTI label map, both turned to RAS+ axes.

    Raises:
        ValueError: when the folder holds no series, or several.

    """
    try:
        import SimpleITK
    except ImportError as error:
        raise ImportError("DICOM needs SimpleITK: pip install '.[formats]' in a checkout of fewlabel") from error
    series = SimpleITK.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
    if len(series) != 1:
        raise ValueError(f"{folder} holds {len(series)} DICOM series, expected one: keep the CT's files only")
    files = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), series[0])
    volume = SimpleITK.ReadImage(files)
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(volume.GetDirection(), (3, 3)) * np.asarray(volume.GetSpacing())
    affine[:3, 3] = volume.GetOrigin()
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine  # DICOM's axes point left and posterior
    image = nib.as_closest_canonical(nib.Nifti1Image(SimpleITK.GetArrayFromImage(volume).T.astype(np.int16), affine))
    read_header(label_path)  # refuses what memory does not hold
    label = nib.as_closest_canonical(nib.load(label_path))
    mask = (np.asarray(label.dataobj) != 0).astype(np.uint8)
    return Scan(np.asarray(image.dataobj), mask, image.affine)
