"""Volumes of which there is one file per slice."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewlabel.listing import first_few


def numbered_slices(raw: Path, files: str, pattern: re.Pattern[str], first: int = 1) -> dict[str, tuple[Path, ...]]:
    """Find the slices of volumes below a folder.

    Args:
        raw: the folder.
        files: a glob that all slices match.
        pattern: a whole file name; its first group is the volume's name, its second the slice's number.
        first: number of each volume's first slice.

    Returns:
        The files of each volume, slice 10 after slice 9.

    Raises:
        ValueError: when a slice is there twice, or the numbers of a volume have a gap.

    """
    found: dict[str, dict[int, Path]] = defaultdict(dict)
    for path in sorted(raw.rglob(files)):
        if match := pattern.fullmatch(path.name):
            number = int(match[2])
            if number in found[match[1]]:
                raise ValueError(f"{path.name} is there twice, {found[match[1]][number]} and {path}: keep one")
            found[match[1]][number] = path
    for name, slices in found.items():
        last = max(slices)
        if absent := sorted(set(range(first, last + 1)) - set(slices)):
            raise ValueError(
                f"{name} in {raw} lacks {len(absent)} of the slices {first} to {last} ({first_few(absent)}): "
                "copy its slices again"
            )
    return {name: tuple(slices[number] for number in sorted(slices)) for name, slices in found.items()}


def stacked(paths: Sequence[Path], slices: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Stack slices along a new first axis.

    Raises:
        ValueError: when their shapes differ; it names the first that does.

    """
    for path, array in zip(paths, slices, strict=True):
        if array.shape != slices[0].shape:
            raise ValueError(
                f"{path.name} has the shape {array.shape}, but {paths[0].name} of the same volume {slices[0].shape}"
            )
    return np.stack(slices)
