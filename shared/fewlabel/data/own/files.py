"""The image files below a folder, and what parts of their names mean."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from fewlabel.data.files.formats import split_ending
from fewlabel.listing import first_few

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
_CHANNEL = re.compile(r"_0000$")


@dataclass(frozen=True)
class Named:
    """A volume's files: one, or its slices in order; ``case`` is the patient, when the names tell."""

    name: str
    files: tuple[Path, ...]
    case: str = ""


def image_files(folder: Path) -> dict[str, Path]:
    """The scans and pictures below a folder, by their path in it without the ending.

    Raises:
        FileNotFoundError: the folder does not exist, or holds none.
        ValueError: two files differ in their endings only.

    """
    if not folder.is_dir():
        raise FileNotFoundError(f"the folder {folder} does not exist")
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        stem = _stem(path.name)
        if stem is None or not path.is_file() or path.name.startswith("."):
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
        channels: leave nnU-Net's ``_0000`` out of the names.

    Raises:
        ValueError: two files get one name.

    """
    named: dict[str, Named] = {}
    for key, path in files.items():
        name = (_CHANNEL.sub("", key) if channels else key).replace("/", "_")
        if name in named:
            raise ValueError(f"{named[name].files[0]} and {path} both become {name}: rename one of them")
        named[name] = Named(name, (path,))
    return named


def compiled(option: str, pattern: str) -> re.Pattern[str]:
    """A regular expression with the groups that matching needs.

    Raises:
        ValueError: it is none, or lacks ``(?P<name>...)``.

    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{option} is {pattern!r}, which is no regular expression: {error}") from None
    if "name" not in expression.groupindex:
        raise ValueError(
            f"{option} is {pattern!r}, but it must tell the volume's name in a group: for instance "
            r"'(?P<name>.+)_slice_(?P<slice>\d+)'"
        )
    return expression


def named_by_pattern(files: dict[str, Path], pattern: re.Pattern[str]) -> tuple[dict[str, Named], list[Path]]:
    """Files by the groups of a pattern: ``name`` the volume, ``slice`` its slices' numbers, ``case`` the patient.

    Returns:
        The volumes, slice 10 after slice 9; and the files that the pattern does not match.

    Raises:
        ValueError: two files are the same volume or slice, a ``slice`` is no number, or slices are missing in between.

    """
    slices: dict[str, dict[int, Path]] = defaultdict(dict)
    cases: dict[str, str] = {}
    others: list[Path] = []
    for key, path in files.items():
        match = pattern.fullmatch(key)
        if match is None:
            others.append(path)
            continue
        groups = match.groupdict()
        name = groups["name"].replace("/", "_")
        number = _number(path, groups.get("slice"))
        if number in slices[name]:
            what = f"slice {number} of {name}" if "slice" in groups else name
            raise ValueError(
                f"{slices[name][number]} and {path} are both {what}: keep one, or tell them apart by 'slice'"
            )
        slices[name][number] = path
        cases[name] = groups.get("case") or ""
    for name, numbered in slices.items():
        _refuse_gaps(name, numbered)
    named = {
        name: Named(name, tuple(numbered[number] for number in sorted(numbered)), cases[name])
        for name, numbered in slices.items()
    }
    return named, others


def _stem(name: str) -> str | None:
    if (parts := split_ending(name)) is not None:
        return parts[0]
    return next((name[: -len(ending)] for ending in PICTURES if name.lower().endswith(ending)), None)


def _number(path: Path, text: str | None) -> int:
    if text is None:
        return 0
    if not text.isdecimal():
        raise ValueError(f"{path}: the pattern's group 'slice' is {text!r} there, but it must be a number")
    return int(text)


def _refuse_gaps(name: str, slices: dict[int, Path]) -> None:
    if absent := sorted(set(range(min(slices), max(slices) + 1)) - set(slices)):
        raise ValueError(
            f"{name} lacks {len(absent)} of the slices {min(slices)} to {max(slices)} ({first_few(absent)}): add them, "
            "or leave 'slice' out of the pattern's groups, so that every file is a volume of its own"
        )
