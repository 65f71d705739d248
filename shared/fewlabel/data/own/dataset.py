"""A folder of images and a folder of label maps as a data set in our layout."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fewlabel.atomic import atomic_folder, atomic_write
from fewlabel.data.files.serialization import json_bytes
from fewlabel.data.own.files import is_picture
from fewlabel.data.own.matching import Matches, match
from fewlabel.data.own.values import named_labels, parse_mapping, parse_names
from fewlabel.data.own.volumes import Writer

_SPACINGS = (0.0002, 1000.0)  # millimeters; the lower bound is what light microscopes resolve


def prepare_folders(
    images: str | os.PathLike[str],
    labels: str | os.PathLike[str],
    out: str | os.PathLike[str],
    names: str = "",
    mapping: str = "",
    pattern: str = "",
    label_pattern: str = "",
    pairs: str = "",
    spacing: str = "1,1,1",
    links: bool = True,
    report: Callable[[str], None] = print,
) -> Path:
    """Make a data set of scans (NIfTI, NRRD, MetaImage) or pictures (PNG, JPEG, TIFF) and their label maps.

    An image without a label map becomes an unlabeled case. nnU-Net's ``a_0000`` and ``a_0001`` are two channels of the
    case ``a``. Scans are linked; pictures, and label maps whose values are mapped, are written as NIfTI. The folder
    appears when all is in it.

    Args:
        images: the folder of images, searched with what is below it.
        labels: the folder of label maps.
        out: the new data set's folder.
        names: the labels' names from 0, ``background,liver``; ``label 1``, ... when empty.
        mapping: labels by value of the masks, ``0:0,255:1``, or by color, ``#000000:0,#ff0000:1``.
        pattern: a regular expression for the images' paths in their folder without ending. Its group ``name`` is the
            volume; ``slice`` may be a number by which pictures are stacked, and ``case`` the patient. Without it equal
            names belong together, and every picture is a volume of one slice.
        label_pattern: the same for label maps; ``pattern`` when empty.
        pairs: a CSV file with the columns ``image`` and ``label``, paths in the two folders.
        spacing: millimeters between the columns, rows and slices of pictures, which tell none.
        links: link scans where the file system can; false copies them.
        report: receives what was matched and what not.

    Returns:
        ``out`` as a path.

    Raises:
        FileNotFoundError: a folder or a file of the table does not exist, or there are no images.
        FileExistsError: ``out`` holds files.
        ValueError: nothing matches, or a file or an option is wrong; it names it.

    """
    images, labels, out = Path(images), Path(labels), Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FileExistsError(f"{out} is not empty: choose another folder for the data set")
    out = out.resolve() if out.is_symlink() else out  # the link stays, its folder is filled
    wanted, values = parse_names(names) if names else [], parse_mapping(mapping)
    sides = _spacing(spacing)
    found = match(images, labels, pattern, label_pattern, pairs)
    for line in str(found).splitlines():
        report(line)
    with atomic_folder(out) as partial:
        writer = Writer(partial, values, len(wanted), sides, links)
        for image, label in found.pairs:
            writer.write(image, label)
        _describe(partial, out.name, found, named_labels(writer.values, wanted), writer.channels)
    _tell(writer, found, out, report)
    return out


def _describe(folder: Path, name: str, found: Matches, labels: dict[str, int], channels: int) -> None:
    training = sum(label is not None for _, label in found.pairs)
    dataset = {"name": name, "labels": labels, "channel_names": _channel_names(channels), "numTraining": training}
    atomic_write(folder / "dataset.json", json_bytes(dataset))
    cases: dict[str, list[str]] = {}
    for image, _ in found.pairs:
        if image.case:
            cases.setdefault(image.case, []).append(image.name)
    if cases:
        atomic_write(folder / "splits.json", json_bytes({"cases": cases}))


def _channel_names(channels: int) -> dict[str, str]:
    return {"0": "image"} if channels == 1 else {str(number): f"channel {number}" for number in range(channels)}


def _spacing(text: str) -> tuple[float, float, float]:
    try:
        x, y, z = (float(side) for side in text.split(","))
    except ValueError:
        x = y = z = 0.0
    lowest, highest = _SPACINGS
    if not all(lowest <= side <= highest for side in (x, y, z)):
        raise ValueError(
            f"spacing is {text!r}, but it must be three numbers of millimeters from {lowest:g} to {highest:g}: "
            "'0.5,0.5,2'"
        )
    return x, y, z


def _tell(writer: Writer, found: Matches, out: Path, report: Callable[[str], Any]) -> None:
    report(", ".join(f"{count} {way}" for way, count in writer.ways.items()))
    if writer.channels > 1:
        names = ", ".join(_channel_names(writer.channels).values())
        report(f"the images have {writer.channels} channels, called {names}: dataset.json can give them better names")
    if any(is_picture(image.files[0]) for image, _ in found.pairs):
        sides = " x ".join(f"{side:g}" for side in writer.spacing)
        report(f"pictures hold no spacing: {sides} mm is written, so millimeters are nominal; --spacing sets others")
    report(f"{out}: look it through with fewlabel check {out}")
