"""Find the scans to segment in whatever folder a person has."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

from fewlabel.data.files.dicom import Series, find_absent, find_series, looks_like_dicom
from fewlabel.data.files.formats import ENDINGS, split_ending
from fewlabel.data.layout.channels import (
    Channels,
    channel_files,
    channel_problems,
    group_channels,
    split_channel,
)
from fewlabel.links import require_content


def find_images(folder: str | os.PathLike[str], in_channels: int = 1) -> list[dict[str, Any]]:
    """Return ``{"image": path or files, "name": name}`` for every scan in a folder, in order of names.

    A dataset in the layout of :class:`fewlabel.data.Cohort` gives the scans of its ``imagesTs``. Of any other folder,
    the scans that are in it directly are taken, and the DICOM series in it and in the folders below it. ``image`` is
    what :class:`fewlabel.transforms.LoadCased` loads: a file, the folder of a series, or the list of its files where a
    folder holds several. ``name`` is the file's without its ending, or the path of the series' folder, joined by
    underscores, with the series' number where a folder holds several. Of several channels that are files of their own,
    ``case_0000``, ``case_0001``, ..., ``image`` is the list and ``name`` the case's.

    A link that points nowhere is a scan, too, and so is a folder some of whose slices are such links: loading them
    fails, so that nothing is left out without a word.

    Args:
        folder: the folder, or a single file, of several channels that of the first.
        in_channels: how many channels the network takes. With one, four digits at the end of a name are part of it.

    Raises:
        FileNotFoundError: no such folder, or a link that points nowhere in its place.
        ValueError: there is no scan, a case lacks a channel, or two scans have the same name, so that one segmentation
            would replace the other.
        ImportError: there are DICOM files, and SimpleITK is not installed.
    """
    root = Path(folder)
    if not str(folder):
        raise ValueError(f"expected a folder of scans, or a scan, got {str(folder)!r}; name one with --dataset_dir")
    require_content(root)
    if not root.exists():
        raise FileNotFoundError(
            f"{root}: no such file or folder; name a scan, or the folder of the scans, with --dataset_dir"
        )
    if root.is_file():
        return [_single(root, in_channels)]
    place = root / "imagesTs" if (root / "imagesTs").is_dir() else root
    files = sorted(path for path in place.iterdir() if not path.is_dir() and split_ending(path.name) is not None)
    if in_channels > 1:
        found = [_case(name, channels, in_channels) for name, channels in group_channels(files, several=True).items()]
    else:
        found = [_single(path, 1) for path in files]
    absent, series = find_absent(place), find_series(place)
    found += _series_items([one for one in series if one.folder not in absent], place)
    in_series = {one.folder for one in series}
    found += [_absent_item(folder, links, folder in in_series, place) for folder, links in absent.items()]
    if not found:
        raise ValueError(
            f"{place}: no scan in it; looked for files that end in {', '.join(ENDINGS)}, and for DICOM series, also in "
            "the folders below"
        )
    return _distinct(sorted(found, key=lambda item: (str(item["name"]), str(item["image"]))))


def _single(file: Path, in_channels: int) -> dict[str, Any]:
    stem = split_ending(file.name)
    if in_channels > 1 and stem is not None and (numbered := split_channel(stem[0])):
        return _case(numbered[0], channel_files(file) or {numbered[1]: [file]}, in_channels)
    if stem is None and not looks_like_dicom(file):
        raise ValueError(
            f"{file}: no scan; expected a file that ends in {', '.join(ENDINGS)}, or a DICOM file; name a scan or a "
            "folder of scans with --dataset_dir"
        )
    return {"image": str(file), "name": stem[0] if stem is not None else file.stem}


def _case(name: str, channels: Channels, in_channels: int) -> dict[str, Any]:
    """The item of a case; a single file without a channel's number may hold all of them, which loading will tell."""
    fix = "the network was trained on fewer; remove it"
    for problem in channel_problems(name, channels, [f"of {in_channels}"] * in_channels, fix):
        raise ValueError(problem)
    files = [str(channels[number][0]) for number in sorted(channels)]
    return {"image": files if len(files) > 1 else files[0], "name": name}


def _series_items(found: list[Series], root: Path) -> list[dict[str, Any]]:
    in_folder = Counter(series.folder for series in found)
    of_number = Counter((series.folder, series.number) for series in found)
    items = []
    for series in found:
        name = "_".join(series.folder.relative_to(root).parts or (root.resolve().name,))
        if in_folder[series.folder] > 1:
            name += f"_{series.number}" if series.number else ""
            name += f"_{series.uid}" if of_number[series.folder, series.number] > 1 else ""
        items.append({"image": str(series.folder) if series.alone else list(series.files), "name": name})
    return items


def _absent_item(folder: Path, links: list[Path], has_series: bool, root: Path) -> dict[str, Any]:
    """An item that can only fail: by the name of its link, or of the folder whose slices are links."""
    alone = len(links) == 1 and not links[0].suffix and not has_series
    name = "_".join((links[0] if alone else folder).relative_to(root).parts or (root.resolve().name,))
    return {"image": str(links[0]), "name": name}


def _distinct(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Pass the items on unless two have one name; file systems may not tell letters apart by their case."""
    known: dict[str, dict[str, Any]] = {}
    for item in items:
        other = known.setdefault(str(item["name"]).casefold(), item)
        if other is not item:
            raise ValueError(
                f"{_shown(other)} and {_shown(item)} would both be segmented as {item['name']}.nii.gz; rename one, or "
                "segment them from folders of their own"
            )
    return items


def _shown(item: dict[str, Any]) -> str:
    return str(item["image"] if isinstance(item["image"], str) else item["image"][0])
