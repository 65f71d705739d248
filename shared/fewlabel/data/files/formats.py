"""Open image files of each format, and tell where their voxels lie the way nibabel and MONAI do."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewlabel.conventions.nifti_geometry import geometry_remarks
from fewlabel.data.files.capacity import require_memory, require_small_extension, require_stored
from fewlabel.links import require_content

ENDINGS = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Header:
    """Where the voxels of a file lie, read without its data.

    Args:
        shape: voxels along each axis, `(X, Y, Z)`; a 2D image has `Z = 1`.
        affine: (4, 4), voxel index to millimeters in the RAS+ frame, as nibabel and MONAI have it.
        channels: values per voxel: the length of the fourth axis, as the Decathlon has it.
        remarks: what is doubtful about the geometry, by kind, see `geometry_remarks`.

    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]
    channels: int = 1
    remarks: dict[str, str] = field(default_factory=dict)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Millimeters between voxel centers along each axis."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0).tolist()
        return x, y, z


def split_ending(name: str) -> tuple[str, str] | None:
    """Split a file name into stem and image ending; None when it is no image.

    >>> split_ending("patient001_frame01.nii.gz")
    ('patient001_frame01', '.nii.gz')
    >>> split_ending("._scan.nii.gz") is None  # what macOS leaves beside a copied file
    True
    """
    for ending in ENDINGS:
        if name.lower().endswith(ending) and len(name) > len(ending) and not name.startswith("."):
            return name[: -len(ending)], name[-len(ending) :]
    return None


@contextmanager
def named_errors(file: Path) -> Iterator[None]:
    """Turn what the readers raise on damaged files into one message that names the file."""
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    damaged = (ImageFileError, HeaderDataError, EOFError, OSError, RuntimeError, ArithmeticError, TypeError, zlib.error)
    try:
        yield
    except (FileNotFoundError, PermissionError):
        raise
    except MemoryError as error:
        raise ValueError(
            f"{file} takes more memory than there is: crop or resample it, or use a machine with more ({error})"
        ) from error
    except (*damaged, ValueError) as error:
        if isinstance(error, ValueError) and str(file) in str(error):
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{file} is truncated or corrupt: copy it again from its source ({reason[-200:]})") from error


def open_image(file: Path) -> Any:
    """Open a file lazily: a nibabel image, or a SimpleITK reader that knows the header."""
    if split_ending(file.name) is None:
        raise ValueError(f"{file} has none of the image endings {', '.join(ENDINGS)}: convert it to NIfTI")
    require_content(file)
    if not file.is_file():
        raise FileNotFoundError(f"{file} does not exist")
    if _is_nifti(file):
        import nibabel

        require_small_extension(file)
        return nibabel.load(file, mmap=False)
    try:
        import SimpleITK
    except ImportError as error:
        raise ImportError(
            f"{file}: reading {file.suffix} needs SimpleITK: pip install '.[formats]' in a checkout of "
            "fewlabel, or convert it to NIfTI"
        ) from error
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(file))
    reader.ReadImageInformation()
    return reader


def header_of(file: Path, image: Any) -> Header:
    """Shape and affine of what `open_image` opened.

    Raises:
        ValueError: the image is not 2D or 3D, with channels along a fourth axis if there are several, its geometry
            is unusable, or its voxels do not fit into memory.

    """
    header = _nifti_header(file, image) if _is_nifti(file) else _itk_header(file, image)
    require_memory(file, (*header.shape, *([header.channels] if header.channels > 1 else [])), _itemsize(file, image))
    return header


def array_of(file: Path, image: Any) -> NDArray[Any]:
    """The voxels of what `open_image` opened: integers keep their type, everything else is float32.

    Raises:
        ValueError: the file is too small for the voxels that its header claims.

    """
    if _is_nifti(file):
        require_stored(file, image.shape, _itemsize(file, image), int(image.dataobj.offset))
    array = _nifti_array(image) if _is_nifti(file) else _itk_array(image)
    return array.astype(np.float32 if array.dtype.kind == "f" else array.dtype.newbyteorder("="), copy=False)


def _is_nifti(file: Path) -> bool:
    return file.name.lower().endswith((".nii", ".nii.gz"))


def _itemsize(file: Path, image: Any) -> int:
    """Bytes of a stored voxel."""
    if _is_nifti(file):
        return int(image.get_data_dtype().itemsize)
    import SimpleITK

    return 8 if "64-bit" in SimpleITK.GetPixelIDValueAsString(image.GetPixelID()) else 4


def _header(file: Path, shape: tuple[int, ...], affine: NDArray[np.float64]) -> Header:
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) not in (2, 3, 4) or min(shape) < 1:
        raise ValueError(
            f"{file} has the shape {shape}; expected a 2D or 3D image, with channels along a fourth axis if there are "
            "several: split what lies along other axes into files of their own"
        )
    x, y, z, channels = (*shape, 1, 1)[:4]
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-12:
        raise ValueError(f"{file} has an unusable geometry in its header (affine {affine.tolist()}): export it again")
    return Header((x, y, z), affine, channels)


def _nifti_header(file: Path, image: Any) -> Header:
    dtype = image.get_data_dtype()
    if dtype.kind not in "iuf":
        raise ValueError(f"{file} holds voxels of type {dtype}; expected numbers: export it as a gray-scale image")
    header = _header(file, tuple(map(int, image.shape)), np.asarray(image.affine, dtype=np.float64))
    return replace(header, remarks=geometry_remarks(image.header))


def _nifti_array(image: Any) -> NDArray[Any]:
    proxy = image.dataobj
    # asking for a type also asks for single precision while scaling
    return np.asarray(proxy.get_unscaled() if proxy.slope == 1 and proxy.inter == 0 else np.asarray(proxy, np.float32))


def _itk_header(file: Path, reader: Any) -> Header:
    if reader.GetNumberOfComponents() != 1:
        raise ValueError(
            f"{file} has {reader.GetNumberOfComponents()} values per voxel; expected a gray-scale image: "
            "split them into files of their own"
        )
    n = reader.GetDimension()
    shape, keep = tuple(map(int, reader.GetSize())), min(n, 3)
    if n > 3 and shape[3:] != (1,) * (n - 3):
        raise ValueError(f"{file} has the shape {shape}; expected a 2D or 3D image: convert it to NIfTI, or split it")
    affine = np.eye(4)
    direction = np.asarray(reader.GetDirection()).reshape(n, n)[:keep, :keep]
    affine[:keep, :keep] = direction * np.asarray(reader.GetSpacing())[:keep]
    affine[:keep, 3] = np.asarray(reader.GetOrigin())[:keep]
    return _header(file, shape, _LPS_TO_RAS @ affine)


def _itk_array(reader: Any) -> NDArray[Any]:
    import SimpleITK

    array: NDArray[Any] = SimpleITK.GetArrayFromImage(reader.Execute()).transpose()
    return array
