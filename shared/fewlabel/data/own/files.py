"""The image files below a folder, and the volumes that they are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fewlabel.data.files.formats import split_ending
from fewlabel.data.layout.channels import split_channel
from fewlabel.links import require_content

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
_LONGEST = 200  # bytes of a name; file systems take 255, of which endings and unfinished files need some


@dataclass(frozen=True)
class Named:
    """A volume's files.

    Args:
        name: the volume's name.
        files: one file, or the volume's slices in order.
        case: the patient, when the names tell.
        slices: the slices' numbers, when the names tell.
        channels: the files of the second channel and those after it.

    """

    name: str
    files: tuple[Path, ...]
    case: str = ""
    slices: tuple[int, ...] = ()
    channels: tuple[Path, ...] = ()


def image_files(folder: Path) -> dict[str, Path]:
    """The scans and pictures below a folder, by their path in it without the ending.

    Hidden files are skipped, and what hidden folders hold: ``.ipynb_checkpoints`` has copies, ``.Trash`` deleted files.

    Raises:
        FileNotFoundError: the folder does not exist or holds none, or a link to an image or folder leads nowhere.
        ValueError: two files differ in their endings only, or links lead to a folder again.

    """
    require_content(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"the folder {folder} does not exist")
    found: dict[str, Path] = {}
    for path in sorted(_visible_files(folder)):
        stem = _stem(path.name)
        if stem is not None or not path.suffix:  # without an ending it may be a folder's
            require_content(path)
        if stem is None:
            continue
        key = path.relative_to(folder).with_name(stem).as_posix()
        if key in found:
            raise ValueError(f"{found[key]} and {path} have the same name: keep one of them")
        found[key] = path
    if not found:
        raise FileNotFoundError(f"{folder} holds no image: expected .nii.gz, .nii, .nrrd, .mha, {', '.join(PICTURES)}")
    return found


def is_picture(path: Path) -> bool:
    """Whether a file is a PNG, JPEG or TIFF, by its ending."""
    return path.name.lower().endswith(PICTURES)


def named_by_path(files: dict[str, Path], channels: bool = False) -> dict[str, Named]:
    """Every file a volume, named as its path in the folder.

    Args:
        files: the files by path without ending.
        channels: nnU-Net's ``_0000``, ``_0001``, ... are the channels of one volume and not in its name.

    Raises:
        ValueError: two files get one name, a name is too long, or a channel is missing in between.

    """
    named: dict[str, dict[int, Path]] = {}
    for key, path in files.items():
        told, number = (split_channel(key) if channels else None) or (key, 0)
        if number and f"{told}_0000" not in files:  # a number that is no channel's
            told, number = key, 0
        name = volume_name(path, told)
        numbered = named.setdefault(name, {})
        if number in numbered:
            raise ValueError(f"{numbered[number]} and {path} both become {name}: rename one of them")
        numbered[number] = path
    return {name: _volume(name, numbered) for name, numbered in named.items()}


def volume_name(path: Path, told: str) -> str:
    """The name of a volume, which files are called by, of what a file's path tells.

    Raises:
        ValueError: it is too long.

    """
    name = told.replace("/", "_")
    if (length := len(name.encode())) > _LONGEST:
        raise ValueError(
            f"{path}: its folders and name make a volume's name of {length} bytes, but it must have at most "
            f"{_LONGEST}: shorten them, or let --pattern take a part"
        )
    return name


def _visible_files(folder: Path) -> Iterator[Path]:
    """What is not hidden below a folder, linked folders included."""
    entered: dict[str, str] = {}
    for here, folders, files in os.walk(folder, followlinks=True):
        if (earlier := entered.setdefault(os.path.realpath(here), here)) != here:
            raise ValueError(
                f"{here} and {earlier} are one folder by a link: remove the link, for cases would be double"
            )
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(here, name) for name in files if not name.startswith("."))


def _volume(name: str, channels: dict[int, Path]) -> Named:
    first, *others = (channels[number] for number in sorted(channels))
    if (absent := min(set(range(max(channels) + 1)) - set(channels), default=None)) is not None:
        raise ValueError(
            f"{others[-1]} is a channel of {name}, which has no channel {absent} ({name}_{absent:04d}): add it, "
            "or choose one with --pattern"
        )
    return Named(name, (first,), channels=tuple(others))


def _stem(name: str) -> str | None:
    if (parts := split_ending(name)) is not None:
        return parts[0]
    return next((name[: -len(ending)] for ending in PICTURES if name.lower().endswith(ending)), None)
