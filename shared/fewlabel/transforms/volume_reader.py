"""Read NIfTI, NRRD and MetaImage for MONAI's loaders as every other part of this package reads them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from monai.data import ImageReader
from monai.utils import MetaKeys, SpaceKeys
from numpy.typing import NDArray

from fewlabel.data.files.formats import ENDINGS, Header, array_of, header_of, named_errors, open_image

Files = Sequence[str | PathLike[str]] | str | PathLike[str]
_log = logging.getLogger(__name__)


class VolumeReader(ImageReader):
    """Read a file by the functions with which :func:`fewlabel.data.read_volume` and `fewlabel check` read it.

    So a file that passes the check is one that can be trained with: an image in 2D is a volume of one slice, further
    axes of length one are dropped, channels lie along the fourth axis, and the affine is the sform where a NIfTI header
    has one, else the qform. What is doubtful about a header is logged, with what was taken.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is truncated or corrupt, no volume, or larger than memory; the message names it.
        ImportError: the format needs SimpleITK, which is not installed.
    """

    def verify_suffix(self, filename: Files) -> bool:
        """Return whether this reader is for a file.

        >>> VolumeReader().verify_suffix("scan.MHA"), VolumeReader().verify_suffix(["scan.nii.gz"])
        (True, True)
        >>> VolumeReader().verify_suffix("slice.dcm")
        False
        """
        files = _as_list(filename)
        return len(files) == 1 and files[0].name.lower().endswith(ENDINGS)

    def read(self, data: Files, **kwargs: Any) -> tuple[Header, NDArray[Any]]:
        """Return the header of a file, and its voxels (X, Y, Z), or (X, Y, Z, C) if there are several channels."""
        (file,) = _as_list(data)
        with named_errors(file):
            opened = open_image(file)
            header = header_of(file, opened)
            channels = [header.channels] if header.channels > 1 else []
            array = array_of(file, opened).reshape((*header.shape, *channels), order="F")
        for remark in header.remarks.values():
            _log.warning("%s: %s", file, remark)
        return header, array

    def get_data(self, img: tuple[Header, NDArray[Any]]) -> tuple[NDArray[Any], dict[str, Any]]:
        """Return the voxels, and their geometry in RAS+."""
        header, array = img
        return array, {
            MetaKeys.ORIGINAL_AFFINE: header.affine,
            MetaKeys.AFFINE: header.affine.copy(),
            MetaKeys.SPACE: SpaceKeys.RAS,
            MetaKeys.SPATIAL_SHAPE: np.asarray(header.shape),
            MetaKeys.ORIGINAL_CHANNEL_DIM: -1 if header.channels > 1 else float("nan"),
        }


def _as_list(files: Files) -> list[Path]:
    return [Path(files)] if isinstance(files, str | PathLike) else [Path(file) for file in files]
