"""Put the slices of a DICOM series in order, and refuse a series that is no single volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_CONVERT = "convert it with dcm2niix, and segment the NIfTI files that it writes"


class SeriesError(ValueError):
    """A DICOM series that is no single volume; the message names it, and the way out."""


@dataclass(frozen=True)
class SliceHeader:
    """Where one file of a series lies.

    Args:
        file: the file.
        size: columns, rows and frames.
        components: values per pixel.
        spacing: millimeters between pixels, along the rows and along the columns.
        position: center of the first pixel, millimeters in the LPS+ frame.
        direction: (3, 3), columns are the directions of the axes.
    """

    file: str
    size: tuple[int, ...]
    components: int
    spacing: tuple[float, ...]
    position: NDArray[np.float64]
    direction: NDArray[np.float64]


def read_slice_header(file: str, simpleitk: Any) -> SliceHeader:
    """Read a file's header, without its pixels; ``simpleitk`` is the module."""
    reader = simpleitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(file)
    reader.ReadImageInformation()
    return SliceHeader(
        file=file,
        size=tuple(reader.GetSize()),
        components=reader.GetNumberOfComponents(),
        spacing=tuple(reader.GetSpacing()),
        position=np.asarray(reader.GetOrigin()),
        direction=np.asarray(reader.GetDirection()).reshape(3, 3),
    )


def in_order(series: str, headers: Sequence[SliceHeader]) -> list[str]:
    """Return the files of a series along its normal, after making sure that they are one volume.

    Args:
        series: what to call the series in an error.
        headers: of all its files.

    Raises:
        SeriesError: the slices have several values per pixel, differ in size, spacing or orientation, lie in the same
            place (time points or echoes), at unequal distances (one is missing), or are shifted within their planes (a
            tilted gantry): no grid of voxels describes such slices.
    """
    first = headers[0]
    for header in headers:
        if header.components != 1:
            raise SeriesError(f"{series}: {header.components} values per pixel in {header.file}; leave color out")
        if header.size != first.size or not np.allclose(header.spacing[:2], first.spacing[:2], rtol=1e-3):
            raise SeriesError(
                f"{series}: slices of {_grid(first)} and of {_grid(header)} ({header.file}) in one series; {_CONVERT}"
            )
        if not np.allclose(header.direction, first.direction, atol=1e-3):
            raise SeriesError(f"{series}: slices of several orientations in one series ({header.file}); {_CONVERT}")
    normal = first.direction[:, 2]
    ordered = sorted(headers, key=lambda header: (float(header.position @ normal), header.file))
    if len(ordered) > 1:
        _check_positions(series, ordered, normal)
    return [header.file for header in ordered]


def _check_positions(series: str, ordered: Sequence[SliceHeader], normal: NDArray[np.float64]) -> None:
    positions = np.stack([header.position for header in ordered])
    heights = positions @ normal
    gaps = np.diff(heights)
    if gaps.min() < 1e-3:
        at = int(gaps.argmin())
        raise SeriesError(
            f"{series}: {len(ordered)} files, but several slices in the same place ({ordered[at].file}, "
            f"{ordered[at + 1].file}): a 4D scan; export each time point or echo as a series of its own"
        )
    usual = float(np.median(gaps))
    if np.abs(gaps - usual).max() > 0.05 * usual:
        at = int(np.abs(gaps - usual).argmax())
        raise SeriesError(
            f"{series}: {gaps[at]:.3g} mm between {ordered[at].file} and {ordered[at + 1].file}, but {usual:.3g} mm "
            "between others: a slice is missing; copy the whole series again, or resample it to equal distances"
        )
    shift = positions - positions[0] - np.outer(heights - heights[0], normal)
    if np.linalg.norm(shift, axis=1).max() > 0.5 * min(ordered[0].spacing[:2]):
        raise SeriesError(f"{series}: the slices are shifted within their planes, as by a tilted gantry; {_CONVERT}")


def _grid(header: SliceHeader) -> str:
    return f"{header.size[0]} x {header.size[1]} pixels of {header.spacing[0]:.3g} x {header.spacing[1]:.3g} mm"
