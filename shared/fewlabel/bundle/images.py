"""Find the scans to segment in whatever folder a person has."""

from __future__ import annotations

import os
from pathlib import Path

from fewlabel.data.formats import ENDINGS, split_ending


def find_images(folder: str | os.PathLike[str]) -> list[dict[str, str]]:
    """Return ``{"image": path}`` for every scan in a folder, in order of names.

    A dataset in the layout of :class:`fewlabel.data.Cohort` gives the scans of its ``imagesTs``; of any other folder,
    all scans that lie in it directly are taken.

    Args:
        folder: the folder.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: it is no folder, or there is no scan in it.
    """
    root = Path(folder)
    if not str(folder) or root.is_file():
        raise ValueError(f"expected a folder of scans, got {str(folder)!r}; name one with --dataset_dir")
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder; name the folder of the scans with --dataset_dir")
    place = root / "imagesTs" if (root / "imagesTs").is_dir() else root
    images = sorted(path for path in place.iterdir() if path.is_file() and split_ending(path.name) is not None)
    if not images:
        raise ValueError(f"{place}: no scan in it; looked for files that end in {', '.join(ENDINGS)}")
    return [{"image": str(path)} for path in images]
