"""Find out all about a dataset that names and headers tell: its items, and what is wrong with them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fewlabel.data.checks.geometry import geometry_problems
from fewlabel.data.checks.problems import Problem
from fewlabel.data.files.formats import Header
from fewlabel.data.files.volumes import image_files, read_header
from fewlabel.data.layout.folders import Layout, read_layout
from fewlabel.data.layout.splits import assign_splits
from fewlabel.data.layout.splits_json import SPLITS, Split

Item = dict[str, Any]  # image is a file, or the list of the files of its channels
TOLERANCE = 1e-3  # millimeters, and per voxel for the axes: what single-precision headers lose stays below


@dataclass
class Inspection:
    """What is known of a dataset without reading a voxel.

    Args:
        root: its folder, absolute.
        labels: label names by value.
        ignored: the label value of voxels that nobody annotated; None if there is none.
        channels: their names.
        items: the MONAI items of each split.
        headers: of each image that could be read, by volume.
        problems: everything found wrong so far.

    """

    root: Path
    labels: dict[int, str]
    ignored: int | None
    channels: tuple[str, ...]
    items: dict[str, list[Item]]
    headers: dict[str, Header] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def inspect_dataset(
    root: str | os.PathLike[str], labeled_cases: int | None = None, seed: int = 0, fold: int | None = None
) -> Inspection:
    """Read names, `dataset.json`, `splits.json` and headers of a dataset, and collect what is wrong.

    Raises:
        FileNotFoundError: the folder does not exist.
        ValueError: `labeled_cases` or `seed` is no whole number, `labeled_cases` is below 1, or a fold is asked for
            and there are none.

    """
    if labeled_cases is not None and (isinstance(labeled_cases, bool) or not isinstance(labeled_cases, int)):
        raise ValueError(f"labeled_cases is {labeled_cases!r}; expected a whole number of cases, or None for all")
    if labeled_cases is not None and labeled_cases < 1:
        raise ValueError(f"labeled_cases is {labeled_cases}; expected at least 1 case, or None for all")
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise ValueError(f"seed is {seed!r}; expected a whole number")
    layout = read_layout(root)
    splits = assign_splits(layout, seed, fold)
    problems = [*layout.problems, *splits.problems]
    labeled, rest = _first(splits.splits, labeled_cases, problems)
    items = {
        "labeled": _items(layout, labeled, with_label=True),
        "unlabeled": _items(layout, rest, with_label=False),
        "validation": _items(layout, splits.splits["validation"], with_label=True),
        "test": _items(layout, splits.splits["test"], with_label=True),
    }
    found = Inspection(layout.root, layout.labels, layout.ignored, layout.channels, items, problems=problems)
    _read_headers(found, layout.named)
    found.problems.extend(geometry_problems(found.headers))
    return found


def _first(splits: dict[str, Split], count: int | None, problems: list[Problem]) -> tuple[Split, Split]:
    """The first labeled cases, and the unlabeled ones with the others."""
    order = list(splits["labeled"])
    if count is not None and count > len(order) > 0:
        held = len(splits["validation"])
        problems.append(
            Problem(
                "error",
                "labeled_cases",
                f"labeled_cases is {count}, but {len(order)} labeled cases can train (validation has {held}): "
                f"ask for at most {len(order)}, or leave labeled_cases out to take all",
            )
        )
    rest: Split = {case: splits["labeled"][case][:] for case in order[count or len(order) :]}
    for case, volumes in splits["unlabeled"].items():
        rest.setdefault(case, []).extend(volumes)
    return {case: splits["labeled"][case] for case in order[:count]}, rest


def _items(layout: Layout, split: Split, with_label: bool) -> list[Item]:
    items = []
    for case, volumes in split.items():
        for name in volumes:
            volume = layout.volumes[name]
            files = [str(file) for file in volume.images]
            item = {"image": files if len(files) > 1 else files[0], "case": case, "volume": name}
            if with_label:
                item["label"] = str(volume.label)
            items.append(item)
    return items


def _read_headers(found: Inspection, named: bool) -> None:
    """Compare image and label map of every item that has both; open no other label map."""
    for item in (item for split in SPLITS for item in found.items[split]):
        files = [str(file) for file in image_files(item["image"])]
        try:
            headers = {file: read_header(file) for file in files}
            first = found.headers[item["volume"]] = headers[files[0]]
            found.problems.extend(_compare_channels(item, headers, found.channels, named))
            if "label" in item:
                found.problems.extend(_compare_label(item, files[0], first, read_header(item["label"])))
        except (ValueError, OSError) as error:
            found.problems.append(Problem("error", "unreadable", str(error), item["volume"]))


def _compare_channels(
    item: Item, headers: dict[str, Header], channels: tuple[str, ...], named: bool
) -> Iterable[Problem]:
    """Find what is wrong with the number and the geometry of a case's channels."""
    (first, header), *others = headers.items()
    wanted = 1 if others else len(channels)
    for file, own in headers.items():
        if own.channels == wanted:
            continue
        holds = f"{file} holds {own.channels} channel{'s' if own.channels > 1 else ''} or time points"
        if named:
            expected = f"but dataset.json names {len(channels)} ({', '.join(channels)})"
            fix = "correct the file, or leave the case out"
        else:
            expected = "but dataset.json names no channels"
            fix = 'name them under "channel_names", or split time points into files of their own'
        yield Problem("error", "channels", f"{holds}, {expected}: {fix}", item["volume"])
    for file, own in others:
        if own.shape != header.shape or not np.allclose(own.affine, header.affine, rtol=0, atol=TOLERANCE):
            message = f"{file} lies on another grid than the first channel {first} ({_grid(own)} against "
            fix = f"{_grid(header)}): resample it onto the first"
            yield Problem("error", "channels differ", message + fix, item["volume"])


def _compare_label(item: Item, file: str, image: Header, label: Header) -> Iterable[Problem]:
    if label.channels > 1:
        message = f"{item['label']} holds {label.channels} label maps along its fourth axis; expected one"
        yield Problem("error", "label map", f"{message}: keep one, with a value for each label", item["volume"])
    elif image.shape != label.shape:
        yield Problem(
            "error",
            "shape differs",
            f"{item['label']} has the shape {label.shape}, its image {file} {image.shape}: "
            "the label map belongs to another scan or resolution; resample it onto the image with nearest neighbor",
            item["volume"],
        )
    elif not np.allclose(image.affine, label.affine, rtol=0, atol=TOLERANCE):
        worst = float(np.abs(image.affine - label.affine).max())
        yield Problem(
            "error",
            "affine differs",
            f"{item['label']} lies elsewhere than its image {file}: their affines differ by up to {worst:.4g} "
            f"(spacing {_mm(label)} against {_mm(image)}); if they overlap voxel by voxel, copy the image's affine "
            "to the label map, else resample it onto the image with nearest neighbor",
            item["volume"],
        )


def _mm(header: Header) -> str:
    return " x ".join(f"{length:.4g}" for length in header.spacing) + " mm"


def _grid(header: Header) -> str:
    return f"{' x '.join(map(str, header.shape))} voxels of {_mm(header)}"
