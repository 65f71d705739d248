"""What a regular expression says of file names: the volume, the number of the slice and the patient."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from fewlabel.data.own.files import Named, volume_name
from fewlabel.listing import first_few


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
        ValueError: two files are the same volume or slice; a ``name`` is empty, too long or begins with a dot; a
            ``slice`` is no number; slices are missing in between; or a volume has slices of two patients.

    """
    volumes: dict[str, dict[int | None, Path]] = defaultdict(dict)
    cases: dict[str, str] = {}
    others: list[Path] = []
    for key, path in files.items():
        match = pattern.fullmatch(key)
        if match is None:
            others.append(path)
            continue
        groups = match.groupdict()
        name = _name(path, groups["name"] or "")
        number = _number(path, groups.get("slice"))
        if number in volumes[name]:
            what = name if number is None else f"slice {number} of {name}"
            raise ValueError(
                f"{volumes[name][number]} and {path} are both {what}: keep one, or tell them apart by 'slice'"
            )
        volumes[name][number] = path
        case = groups.get("case") or ""
        if cases.setdefault(name, case) != case:
            raise ValueError(
                f"{path} is of the case {case!r}, but other slices of {name} are of {cases[name]!r}: let the pattern's "
                "group 'name' take the case in"
            )
    return {name: _volume(name, numbered, cases[name]) for name, numbered in volumes.items()}, others


def _name(path: Path, text: str) -> str:
    if not text or text.startswith("."):
        raise ValueError(
            f"{path}: the pattern's group 'name' is {text!r} there, but a volume's name must not be empty or begin "
            "with a dot: let the group match more of the path"
        )
    return volume_name(path, text)


def _number(path: Path, text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isdecimal():
        raise ValueError(f"{path}: the pattern's group 'slice' is {text!r} there, but it must be a number")
    return int(text)


def _volume(name: str, numbered: dict[int | None, Path], case: str) -> Named:
    if None in numbered and len(numbered) > 1:
        raise ValueError(
            f"{numbered[None]} has no slice number, but {len(numbered) - 1} other files of {name} have: number it, or "
            "let the pattern's group 'name' tell it apart"
        )
    slices = sorted(number for number in numbered if number is not None)
    if slices and (absent := sorted(set(range(slices[0], slices[-1] + 1)) - set(slices))):
        raise ValueError(
            f"{name} lacks {len(absent)} of the slices {slices[0]} to {slices[-1]} ({first_few(absent)}): add them, "
            "or leave 'slice' out of the pattern's groups, so that every file is a volume of its own"
        )
    files = tuple(numbered[number] for number in slices) or (numbered[None],)
    return Named(name, files, case, tuple(slices))
