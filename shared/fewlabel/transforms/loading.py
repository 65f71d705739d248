"""Load the volumes of a case, and refuse those that would poison a training or a result."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from os import PathLike
from typing import Any

from monai.data import ImageReader
from monai.transforms import LoadImage, LoadImaged

from fewlabel.transforms.checks import CheckCased

File = str | PathLike[str]


class LoadCased(LoadImaged):
    """Load a case's image and, if it has one, its label; check both; name the file in every error.

    Volumes come channel first, as float32 with their geometry, by MONAI's readers: NIfTI, NRRD, MetaImage, folders of
    DICOM slices. An unlabeled case, and one to be segmented, has no label key.

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
        self.check = CheckCased(num_classes, image_key, label_key)

    def __call__(self, data: Mapping[Hashable, Any], reader: ImageReader | None = None) -> dict[Hashable, Any]:
        """Return the case with volumes (1, *spatial) in place of files."""
        case: dict[Hashable, Any] = super().__call__(data, reader)
        image = case[self.check.image_key]
        if image.ndim != 4 or image.shape[0] != 1:
            raise ValueError(
                f"{data[self.check.image_key]}: expected a volume of one channel, found {tuple(image.shape)} with "
                "channels first; save each channel or time as a volume of its own, a single slice as a volume of one"
            )
        return self.check(case)


class _NamingLoader(LoadImage):
    """What readers raise on a damaged file may not name it, and differs from format to format."""

    def __call__(self, filename: Sequence[File] | File, reader: ImageReader | None = None) -> Any:
        try:
            return super().__call__(filename, reader)
        except (FileNotFoundError, PermissionError):
            raise
        except Exception as error:  # every reader has its own errors; none is lost
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ValueError(
                f"{filename} is truncated, corrupt or no image: copy it again from its source, or export it as NIfTI "
                f"({reason[-200:]})"
            ) from error
