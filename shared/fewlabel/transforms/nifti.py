"""Read NIfTI for MONAI's loaders, with the geometry that its header states."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from os import PathLike
from typing import Any

import nibabel as nib
from monai.data import NibabelReader

from fewlabel.conventions.nifti_geometry import geometry_remarks

_log = logging.getLogger(__name__)


class NiftiReader(NibabelReader):
    """MONAI's reader of NIfTI, but with nibabel's affine: the sform where there is one, else the qform.

    MONAI's own takes the qform where the sform's spacing is not that of the header, without a word; a check of the same
    file, and the label map written for it, would then be about another geometry. What is doubtful about a header is
    logged, with what was taken.
    """

    def read(self, data: Sequence[PathLike[str] | str] | PathLike[str] | str, **kwargs: Any) -> Any:
        """Return nibabel's image of a file, or a list of those of several files."""
        self.filenames = [data] if isinstance(data, str | PathLike) else list(data)
        images = [nib.load(name, **{**self.kwargs, **kwargs}) for name in self.filenames]
        for name, image in zip(self.filenames, images, strict=True):
            for remark in geometry_remarks(image.header).values():
                _log.warning("%s: %s", name, remark)
        return images if len(images) > 1 else images[0]
