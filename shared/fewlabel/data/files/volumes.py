"""Read one scan or one label map from a file, whatever the dataset's layout."""

from __future__ import annotations

import gzip
import math
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewlabel.data.files.formats import Header, array_of, header_of, named_errors, open_image

_BLOCK = 1 << 20
Image = str | os.PathLike[str] | Sequence[str]  # a file, or the files of its channels


def read_header(path: str | os.PathLike[str]) -> Header:
    """Read shape and affine of a scan, without its voxels.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the header is unreadable, or the image is not 2D or 3D, channels aside.
        ImportError: the format needs SimpleITK, which is not installed.

    """
    file = Path(path)
    with named_errors(file):
        return header_of(file, open_image(file))


def read_volume(
    path: str | os.PathLike[str], *, finite: bool = False, allowed: Collection[int] | None = None
) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Read a scan or a label map with its geometry.

    Args:
        path: a file with one of `ENDINGS`.
        finite: refuse NaN and infinity (for images).
        allowed: the file is a label map and may hold these whole numbers only; it comes back as uint8 when they fit.

    Returns:
        The array `(X, Y, Z)`, where integers keep their type and everything else is float32; and the affine (4, 4),
        RAS+, in millimeters.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is truncated or corrupt, not 2D or 3D with one channel, or breaks `finite` or `allowed`.
        ImportError: the format needs SimpleITK, which is not installed.

    """
    file = Path(path)
    with named_errors(file):
        image = open_image(file)
        header = header_of(file, image)
        if header.channels != 1:
            raise ValueError(
                f"{file} has {header.channels} channels or time points; expected one value per voxel: split them into "
                "files of their own"
            )
        array = array_of(file, image).reshape(header.shape, order="F")
    if finite and not is_finite(array):
        raise ValueError(
            f"{file} holds NaN or infinite voxels: export it again, or replace them by the background value"
        )
    if allowed is not None:
        check_label_values(file, label_values(array), allowed)
        array = array.astype(np.uint8 if max(allowed) < 256 else np.int32, copy=False)
    return array, header.affine


def image_files(image: Image) -> list[Path]:
    """Return the files of an image: one, or one for each channel."""
    return [Path(image)] if isinstance(image, str | os.PathLike) else [Path(file) for file in image]


def read_channels(image: Image) -> list[NDArray[Any]]:
    """Read the channels of a scan, from one file or from a file for each.

    Returns:
        An array `(X, Y, Z)` for each channel; integers keep their type and everything else is float32.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file is truncated or corrupt, or the channels differ in shape.
        ImportError: the format needs SimpleITK, which is not installed.

    """
    files = image_files(image)
    channels: list[NDArray[Any]] = []
    for file in files:
        with named_errors(file):
            opened = open_image(file)
            header = header_of(file, opened)
            array = array_of(file, opened).reshape((*header.shape, header.channels), order="F")
        channels.extend(array[..., number] for number in range(header.channels))
        if channels[-1].shape != channels[0].shape:
            raise ValueError(
                f"{file} has the shape {header.shape}, but {files[0]} {channels[0].shape}: the channels of a case lie "
                "on one grid; resample the one onto the other"
            )
    return channels


def verify_checksum(path: str | os.PathLike[str]) -> None:
    """Read a `.nii.gz` file to its end, where its checksum stands; do nothing for other formats.

    Readers stop at the last voxel, so that a flipped bit can pass as another label. A file may unpack to a thousand
    times its size; what comes long after the last voxel is not unpacked.

    Raises:
        ValueError: the checksum does not match, or the file goes on behind its voxels.

    """
    file = Path(path)
    if not file.name.lower().endswith(".gz"):
        return
    with named_errors(file):
        image = open_image(file)
        end = int(image.dataobj.offset) + math.prod(map(int, image.shape)) * image.get_data_dtype().itemsize
        with gzip.open(file) as stream:
            unpacked = 0
            while block := stream.read(_BLOCK):
                unpacked += len(block)
                if unpacked > end + _BLOCK:
                    raise ValueError(
                        f"{file} goes on behind its voxels, which end after {end} bytes: its header belongs to a "
                        "smaller image, or something was put behind it; export it again"
                    )


def is_finite(array: NDArray[Any]) -> bool:
    """Whether no voxel is NaN or infinite, without a temporary of the array's size."""
    return bool(np.isfinite(array.min()) and np.isfinite(array.max()))


def label_values(array: NDArray[Any]) -> list[float]:
    """The distinct values of a label map, ascending, found slice by slice to spare memory."""
    found: set[float] = set()
    for index in range(array.shape[-1]):
        found.update(np.unique(array[..., index]).tolist())
    return sorted(found)


def check_label_values(file: Path, values: Collection[float], allowed: Collection[int]) -> None:
    """Refuse label values that are not whole numbers, or that the dataset does not name.

    Raises:
        ValueError: naming the values and the file.

    """
    broken = [value for value in values if not float(value).is_integer()]
    if broken:
        raise ValueError(
            f"{file} holds label values that are not whole numbers ({_some(broken)}): "
            "it was resampled with interpolation; resample the original with nearest neighbor"
        )
    unknown = [int(value) for value in values if int(value) not in allowed]
    if unknown:
        raise ValueError(
            f"{file} holds the label values {_some(unknown)}, but dataset.json names {_some(sorted(allowed))}: "
            "add them to dataset.json, or correct the file"
        )


def _some(values: Collection[float]) -> str:
    shown = ", ".join(f"{value:g}" for value in list(values)[:8])
    return shown + (f" and {len(values) - 8} more" if len(values) > 8 else "")
