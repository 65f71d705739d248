"""Load the volumes of a case, and refuse those that would poison a training or a result."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from monai.data import ImageReader
from monai.transforms import LoadImage, LoadImaged

from fewlabel.transforms.case_checks import CheckCased
from fewlabel.transforms.dicom import SeriesError
from fewlabel.transforms.nifti import NiftiReader
from fewlabel.transforms.reading import SimpleITKReader

File = str | PathLike[str]


class LoadCased(LoadImaged):
    """Load a case's image and, if it has one, its label; check both; name the file in every error.

    Volumes come channel first, as float32, as they are stored, with their geometry: NIfTI by
    :class:`fewlabel.transforms.NiftiReader`; NRRD, MetaImage and DICOM series (a folder, or the list of its files) by
    :class:`fewlabel.transforms.SimpleITKReader`. An unlabeled case, and one to be segmented, has no label key. Whoever
    shows a volume to a network reorients it: :class:`fewlabel.transforms.Reorientd` in training, the inferer after.

    Args:
        num_classes: classes a label may hold, 0 to ``num_classes - 1``; None skips that check.
        image_key: key of the image's file.
        label_key: key of the label's file; may be absent. None where no case has one: MONAI Label, which serves a
            bundle's inference, expects every key of a loader to be there.

    Raises:
        FileNotFoundError: a file is not there.
        ValueError: a file can't be read, is truncated or no volume of one channel, or :class:`CheckCased` refuses it.
    """

    def __init__(
        self, num_classes: int | None = None, image_key: str = "image", label_key: str | None = "label"
    ) -> None:
        super().__init__([image_key] if label_key is None else [image_key, label_key], allow_missing_keys=True)
        self._loader = _NamingLoader(image_only=True, ensure_channel_first=True)
        self._loader.register(NiftiReader())
        self._loader.register(SimpleITKReader())  # the last is asked first
        self.check = CheckCased(num_classes, image_key, label_key)

    def __call__(self, data: Mapping[Hashable, Any], reader: ImageReader | None = None) -> dict[Hashable, Any]:
        """Return the case with volumes (1, *spatial) in place of files."""
        case: dict[Hashable, Any] = super().__call__(data, reader)
        image = case[self.check.image_key]
        if image.ndim != 4 or image.shape[0] != 1:
            raise ValueError(
                f"{_shown(data[self.check.image_key])}: expected a volume of one channel, found {tuple(image.shape)} "
                "with channels first; save each channel or time as a volume, a single slice as a volume of one"
            )
        return self.check(case)


class _NamingLoader(LoadImage):
    """What readers raise on a damaged file may not name it, and differs from format to format."""

    def __call__(self, filename: Sequence[File] | File, reader: ImageReader | None = None) -> Any:
        try:
            return super().__call__(filename, reader)
        except (FileNotFoundError, PermissionError, ImportError, SeriesError):
            raise
        except Exception as error:  # every reader has its own errors; none is lost
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ValueError(
                f"{_shown(filename)} is truncated, corrupt or no image: copy it again from its source, or export it as "
                f"NIfTI ({reason[-200:]})"
            ) from error


def _shown(files: Sequence[File] | File) -> str:
    """Name a file, or a series by its folder."""
    if isinstance(files, str | PathLike):
        return str(files)
    return str(files[0]) if len(files) == 1 else f"{Path(files[0]).parent} ({len(files)} files)"
