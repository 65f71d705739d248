"""Read DICOM series for MONAI's loaders."""

from __future__ import annotations

import os
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from monai.data import ImageReader
from monai.utils import MetaKeys, SpaceKeys
from numpy.typing import NDArray

from fewlabel.data.files.capacity import require_memory
from fewlabel.data.files.dicom import absent_slices
from fewlabel.links import require_content
from fewlabel.transforms.dicom import SeriesError, SliceHeader, in_order, read_slice_header

Files = Sequence[str | PathLike[str]] | str | PathLike[str]
_SERIES = (".dcm", ".dicom", ".ima")


class SeriesReader(ImageReader):
    """Read a DICOM series through SimpleITK, with the axes and the affine that MONAI's ITKReader gives.

    SimpleITK loads in a fraction of the time that ITK's Python modules take. Several files, or a folder, are the slices
    of one series: they are put in order along their normal and checked by
    :func:`fewlabel.transforms.dicom.in_order`, whereas ITKReader takes the first of several series without a word and
    makes several files channels.

    Raises:
        ImportError: SimpleITK is not installed.
        FileNotFoundError: a file is not there.
        SeriesError: a series that is no single volume, larger than memory, or damaged; the message names it.
    """

    def verify_suffix(self, filename: Files) -> bool:
        """Return whether this reader is for a file, the files of a series, or a folder.

        >>> SeriesReader().verify_suffix(["1.dcm", "2.dcm"]), SeriesReader().verify_suffix("scan.nii.gz")
        (True, False)
        """
        files = _as_list(filename)
        return len(files) > 1 or is_dicom(Path(files[0]))

    def read(self, data: Files, **kwargs: Any) -> Any:
        """Return the SimpleITK image of a file, the files of a series, or a folder that holds one series."""
        sitk = _simpleitk()
        files = _as_list(data)
        for file in files:
            require_content(Path(file))
            if not Path(file).exists():
                raise FileNotFoundError(f"{file}: no such file")
        series = files[0] if len(files) == 1 else f"{Path(files[0]).parent} ({len(files)} files)"
        if len(files) == 1 and Path(files[0]).is_dir():
            files = _only_series(files[0], sitk)
        try:
            headers = [read_slice_header(file, sitk) for file in files]
            ordered = in_order(series, headers)
            _require_memory(series, headers)
            # one type for all slices: each has its own scale, and the first one's type may be whole numbers
            return sitk.ReadImage(ordered if len(ordered) > 1 else ordered[0], sitk.sitkFloat32)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[-200:]
            raise SeriesError(f"{series}: a file of the series is damaged: copy the series again ({reason})") from error

    def get_data(self, img: Any) -> tuple[NDArray[Any], dict[str, Any]]:
        """Return the voxels (X, Y, Z) and their geometry in RAS+."""
        array: NDArray[Any] = _simpleitk().GetArrayFromImage(img)
        affine = _affine(img)
        return array.T, {
            MetaKeys.ORIGINAL_AFFINE: affine,
            MetaKeys.AFFINE: affine.copy(),
            MetaKeys.SPACE: SpaceKeys.RAS,
            MetaKeys.SPATIAL_SHAPE: np.asarray(img.GetSize()),
            MetaKeys.ORIGINAL_CHANNEL_DIM: float("nan"),  # a series with several values per pixel was refused
        }


def _require_memory(series: str, headers: Sequence[SliceHeader]) -> None:
    *plane, frames = (*headers[0].size, 1)[:3]
    try:
        require_memory(series, (*plane, frames * len(headers)), itemsize=4)
    except ValueError as error:
        raise SeriesError(str(error)) from None


def is_dicom(path: Path) -> bool:
    """Whether a path is a folder or a DICOM file, by its ending or its magic number."""
    if path.is_dir() or path.name.lower().endswith(_SERIES):
        return True
    if not path.is_file():
        return False
    with open(path, "rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def _as_list(files: Files) -> list[str]:
    return [str(files)] if isinstance(files, str | PathLike) else [str(file) for file in files]


def _only_series(folder: str, sitk: Any) -> list[str]:
    for path in absent_slices(Path(folder), os.listdir(folder)):
        require_content(path)
    series = sitk.ImageSeriesReader.GetGDCMSeriesIDs(folder)
    if len(series) != 1:
        raise SeriesError(
            f"{folder}: expected one DICOM series, found {len(series) or 'none'}; name the folder of one, or give the "
            "folder as --dataset_dir of inference.json, which tells them apart"
        )
    return list(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(folder, series[0]))


def _affine(image: Any) -> NDArray[np.float64]:
    n = image.GetDimension()
    keep = min(n, 3)
    affine = np.eye(4)
    direction = np.asarray(image.GetDirection()).reshape(n, n)[:keep, :keep]
    affine[:keep, :keep] = direction * np.asarray(image.GetSpacing())[:keep]
    affine[:keep, 3] = np.asarray(image.GetOrigin())[:keep]
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def _simpleitk() -> Any:
    try:
        import SimpleITK
    except ImportError as error:
        raise ImportError(
            "reading DICOM needs SimpleITK: pip install '.[formats]' in a checkout of fewlabel, or convert to NIfTI"
        ) from error
    return SimpleITK
