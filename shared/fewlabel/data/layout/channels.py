"""Which image files are the channels of one case: nnU-Net's `case_0000`, `case_0001`, ..."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from fewlabel.data.files.formats import split_ending

Channels = dict[int, list[Path]]  # files by the number of the channel; more than one file is one too many
_CHANNEL = re.compile(r"(.+)_(\d{4})$")


def stem_of(file: Path) -> str:
    """The name of a file without its image ending."""
    stem_ending = split_ending(file.name)
    return stem_ending[0] if stem_ending else file.stem


def split_channel(stem: str) -> tuple[str, int] | None:
    """Split nnU-Net's channel number off a name; None if there is none.

    >>> split_channel("BRATS_001_0003")
    ('BRATS_001', 3)
    """
    match = _CHANNEL.match(stem)
    return (match[1], int(match[2])) if match else None


def group_channels(files: Iterable[Path], several: bool) -> dict[str, Channels]:
    """Group files by case.

    Args:
        files: image files of one folder.
        several: whether a case has several channels. If not known, four digits at the end of a name are a channel's
            number only where there is a channel `_0000` too.

    Returns:
        For each case its files; one without a channel's number in its name counts as channel 0.

    """
    files = list(files)
    stems = {stem_of(file) for file in files}
    groups: dict[str, Channels] = {}
    for file in files:
        stem = stem_of(file)
        name, number = split_channel(stem) or (stem, 0)
        if not several and f"{name}_0000" not in stems:
            name, number = stem, 0
        groups.setdefault(name, {}).setdefault(number, []).append(file)
    return groups


def channel_files(image: Path) -> Channels:
    """The channels of an image that is named without their numbers, or by that of the first."""
    stem, ending = split_ending(image.name) or (image.stem, image.suffix)
    found = split_channel(stem)
    name = found[0] if found and found[1] == 0 and image.is_file() else stem
    beside = sorted(image.parent.glob("*")) if image.parent.is_dir() else []
    channels: Channels = {}
    for file in beside:
        numbered = split_channel(stem_of(file))
        if numbered and numbered[0] == name and file.name.endswith(ending):
            channels.setdefault(numbered[1], []).append(file)
    return channels


def channel_problems(case: str, channels: Channels, names: Sequence[str], fix: str) -> Iterable[str]:
    """Say what is wrong with the channels of a case.

    A single file that does not carry a channel's number may hold all of them; its header will tell.

    Args:
        case: its name.
        channels: its files.
        names: the names of the channels that there are to be.
        fix: what to do about a channel too many.

    """
    for files in channels.values():
        if len(files) > 1:
            yield f"{files[0]} and {files[1]} are both volume {case!r}: remove one"
    first = next(iter(channels.values()))[0]
    if len(channels) == 1 and split_channel(stem_of(first)) is None:
        return
    ending = (split_ending(first.name) or ("", first.suffix))[1]
    for number, name in enumerate(names):
        if number not in channels and len(names) > 1:
            expected = first.with_name(f"{case}_{number:04d}{ending}")
            yield f"case {case!r} lacks channel {number} ({name}): expected {expected}; copy it, or leave the case out"
    for number, files in channels.items():
        if number >= max(len(names), 1):
            wanted = f"{len(names)} channel{'s' if len(names) > 1 else ''}"
            yield f"{files[0]} is channel {number} of {case!r}, but there are to be {wanted}: {fix}"


def count_channels(groups: Iterable[Mapping[str, Channels]]) -> int:
    """The largest number of files that a case has."""
    return max((len(channels) for half in groups for channels in half.values()), default=1)
