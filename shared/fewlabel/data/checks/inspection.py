"""Find out all about a dataset that names and headers tell: its items, and what is wrong with them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fewlabel.data.checks.geometry import geometry_problems
from fewlabel.data.checks.problems import Problem
from fewlabel.data.files.formats import Header
from fewlabel.data.files.volumes import read_header
from fewlabel.data.layout.folders import Layout, read_layout
from fewlabel.data.layout.splits import assign_splits
from fewlabel.data.layout.splits_json import SPLITS, Split

Item = dict[str, str]
_TOLERANCE = 1e-3  # millimeters, and per voxel for the axes: what single-precision headers lose stays below


@dataclass
class Inspection:
    """What is known of a dataset without reading a voxel.

    Args:
        root: its folder, absolute.
        labels: label names by value.
        items: the MONAI items of each split.
        headers: of each image that could be read, by volume.
        problems: everything found wrong so far.

    """

    root: Path
    labels: dict[int, str]
    items: dict[str, list[Item]]
    headers: dict[str, Header] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def inspect_dataset(root: str | os.PathLike[str], labeled_cases: int | None = None, seed: int = 0) -> Inspection:
    """Read names, `dataset.json`, `splits.json` and headers of a dataset, and collect what is wrong.

    Raises:
        FileNotFoundError: the folder does not exist.
        ValueError: `labeled_cases` or `seed` is no whole number, or `labeled_cases` is below 1.

    """
    if labeled_cases is not None and (isinstance(labeled_cases, bool) or not isinstance(labeled_cases, int)):
        raise ValueError(f"labeled_cases is {labeled_cases!r}; expected a whole number of cases, or None for all")
    if labeled_cases is not None and labeled_cases < 1:
        raise ValueError(f"labeled_cases is {labeled_cases}; expected at least 1 case, or None for all")
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise ValueError(f"seed is {seed!r}; expected a whole number")
    layout = read_layout(root)
    splits = assign_splits(layout, seed)
    problems = [*layout.problems, *splits.problems]
    labeled, rest = _first(splits.splits, labeled_cases, problems)
    items = {
        "labeled": _items(layout, labeled, with_label=True),
        "unlabeled": _items(layout, rest, with_label=False),
        "validation": _items(layout, splits.splits["validation"], with_label=True),
        "test": _items(layout, splits.splits["test"], with_label=True),
    }
    found = Inspection(layout.root, layout.labels, items, problems=problems)
    _read_headers(found)
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
            item = {"image": str(volume.image), "case": case, "volume": name}
            if with_label:
                item["label"] = str(volume.label)
            items.append(item)
    return items


def _read_headers(found: Inspection) -> None:
    """Compare image and label map of every item that has both; open no other label map."""
    for item in (item for split in SPLITS for item in found.items[split]):
        try:
            image = found.headers[item["volume"]] = read_header(item["image"])
            if "label" in item:
                found.problems.extend(_compare(item, image, read_header(item["label"])))
        except (ValueError, OSError) as error:
            found.problems.append(Problem("error", "unreadable", str(error), item["volume"]))


def _compare(item: Item, image: Header, label: Header) -> Iterable[Problem]:
    if image.shape != label.shape:
        yield Problem(
            "error",
            "shape differs",
            f"{item['label']} has the shape {label.shape}, its image {item['image']} {image.shape}: "
            "the label map belongs to another scan or resolution; resample it onto the image with nearest neighbor",
            item["volume"],
        )
    elif not np.allclose(image.affine, label.affine, rtol=0, atol=_TOLERANCE):
        worst = float(np.abs(image.affine - label.affine).max())
        yield Problem(
            "error",
            "affine differs",
            f"{item['label']} lies elsewhere than its image {item['image']}: their affines differ by up to {worst:.4g} "
            f"(spacing {_mm(label)} against {_mm(image)}); if they overlap voxel by voxel, copy the image's affine "
            "to the label map, else resample it onto the image with nearest neighbor",
            item["volume"],
        )


def _mm(header: Header) -> str:
    return " x ".join(f"{length:.4g}" for length in header.spacing) + " mm"
