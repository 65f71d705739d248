"""Load the volumes of a case, and refuse those that would spoil a training run or a result."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from monai.data import ImageReader, MetaTensor
from monai.transforms import LoadImage, LoadImaged

from fewlabel.conventions.labels import IGNORED
from fewlabel.data.files.formats import ENDINGS
from fewlabel.links import require_content
from fewlabel.transforms.case_checks import CheckCased
from fewlabel.transforms.dicom import SeriesError
from fewlabel.transforms.reading import SeriesReader
from fewlabel.transforms.volume_reader import VolumeReader

File = str | PathLike[str]


class LoadCased(LoadImaged):
    """Load a case's image and, if it has one, its label; check both; name the file in every error.

    Volumes come channel first, as float32, as they are stored, with their geometry: NIfTI, NRRD and MetaImage by
    :class:`fewlabel.transforms.VolumeReader`; DICOM series (a folder, or the list of its files) by
    :class:`fewlabel.transforms.SeriesReader`. An unlabeled case, and one to be segmented, has no label key. Whoever
    shows a volume to a network reorients it: :class:`fewlabel.transforms.Reorientd` in training, the inferer after.

    The channels of an image lie along the fourth axis of its file, or are files of their own: a list of files that
    are no DICOM series is one of channels, on one grid.

    Args:
        num_classes: classes a label may hold, 0 to ``num_classes - 1``; None skips that check.
        image_key: key of the image's file.
        label_key: key of the label's file; may be absent. None where no case has one: MONAI Label, which serves a
            bundle's inference, expects every key of a loader to be there.
        in_channels: how many channels an image has.
        ignored: the value of voxels in label files that nobody annotated; loaded, they are
            :data:`fewlabel.conventions.labels.IGNORED`. None if there are none.

    Raises:
        FileNotFoundError: a file is not there.
        ValueError: a file can't be read, is truncated or no volume, has another number of channels or channels that lie
            on different grids, or :class:`CheckCased` refuses it.
    """

    def __init__(
        self,
        num_classes: int | None = None,
        image_key: str = "image",
        label_key: str | None = "label",
        in_channels: int = 1,
        ignored: int | None = None,
    ) -> None:
        super().__init__([image_key] if label_key is None else [image_key, label_key], allow_missing_keys=True)
        self._loader = _NamingLoader(image_only=True, ensure_channel_first=True)
        self._loader.register(SeriesReader())
        self._loader.register(VolumeReader())  # the last is asked first
        self.check = CheckCased(num_classes, image_key, label_key, ignored)
        self.in_channels = in_channels

    def __call__(self, data: Mapping[Hashable, Any], reader: ImageReader | None = None) -> dict[Hashable, Any]:
        """Return the case with an image (C, *spatial) and a label (1, *spatial) in place of files."""
        case: dict[Hashable, Any] = super().__call__(data, reader)
        image = case[self.check.image_key]
        if image.ndim != 4 or image.shape[0] != self.in_channels:
            expected = f"{self.in_channels} channels" if self.in_channels > 1 else "one channel"
            raise ValueError(
                f"{_shown(data[self.check.image_key])}: expected a volume of {expected}, found {tuple(image.shape)} "
                "with channels first; save each time as a volume, and channels as case_0000, case_0001, ... or along a "
                "fourth axis"
            )
        label = self.check.label_key
        if label in case and case[label].shape[0] != 1:
            raise ValueError(
                f"{_shown(data[label])} holds {case[label].shape[0]} label maps along its fourth axis; expected one: "
                "keep one, with a value for each label"
            )
        case = self.check(case)
        if self.check.ignored is not None and label in case:
            case[label] = torch.where(case[label] == self.check.ignored, IGNORED, case[label])
        return case


class _NamingLoader(LoadImage):
    """What readers raise on a damaged file may not name it, and differs from format to format."""

    def __call__(self, filename: Sequence[File] | File, reader: ImageReader | None = None) -> Any:
        channels = _channels(filename)
        if channels:
            loaded = [self(file, reader) for file in channels]
            if self.image_only:
                return _join(channels, loaded)
            return _join(channels, [image for image, _ in loaded]), loaded[0][1]
        for file in [filename] if isinstance(filename, str | PathLike) else filename:
            require_content(Path(file))
        try:
            return super().__call__(filename, reader)
        except (FileNotFoundError, PermissionError, ImportError, SeriesError):
            raise
        except ValueError as error:
            if _shown(filename) in str(error):
                raise
            raise _damaged(filename, error) from error
        except Exception as error:  # every reader has its own errors; none is lost
            raise _damaged(filename, error) from error


def _damaged(files: Sequence[File] | File, error: Exception) -> ValueError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return ValueError(
        f"{_shown(files)} is truncated, corrupt or no image: copy it again from its source, or export it as NIfTI "
        f"({reason[-200:]})"
    )


def _channels(files: Sequence[File] | File) -> list[str]:
    """The files of an image's channels; none if it is one file, or the slices of a DICOM series."""
    names = [] if isinstance(files, str | PathLike) else [str(file) for file in files]
    return names if len(names) > 1 and all(name.lower().endswith(ENDINGS) for name in names) else []


def _join(files: Sequence[File], channels: Sequence[Any]) -> Any:
    """Return the channels (1, *spatial) of a case as one volume, with the geometry of the first."""
    first = channels[0]
    for file, channel in zip(files, channels, strict=True):
        if channel.shape != first.shape or not torch.allclose(channel.affine, first.affine, rtol=0, atol=1e-3):
            raise ValueError(
                f"{file} lies on another grid than {files[0]} ({_grid(channel)} against {_grid(first)}): resample the "
                "channels of a case onto the first, each a volume of one value per voxel"
            )
    joined = torch.cat([channel.as_subclass(torch.Tensor) for channel in channels])
    return MetaTensor(joined).copy_meta_from(first)


def _grid(volume: Any) -> str:
    spacing = torch.linalg.vector_norm(volume.affine[:3, :3].double(), dim=0).tolist()
    return f"{' x '.join(map(str, volume.shape[1:]))} voxels of {' x '.join(f'{step:.4g}' for step in spacing)} mm"


def _shown(files: Sequence[File] | File) -> str:
    """Name a file, or a series by its folder."""
    if isinstance(files, str | PathLike):
        return str(files)
    return str(files[0]) if len(files) == 1 else f"{Path(files[0]).parent} ({len(files)} files)"
