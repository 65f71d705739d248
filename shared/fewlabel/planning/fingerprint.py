"""What a dataset is like, as far as a plan depends on it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewlabel.conventions.orientation import find_reorientation, find_slice_axis
from fewlabel.conventions.sides import sided_labels
from fewlabel.data.checks.inspection import Inspection, Item, inspect_dataset
from fewlabel.data.checks.problems import raise_errors
from fewlabel.data.files.formats import Header
from fewlabel.data.files.volumes import read_channels, read_volume
from fewlabel.planning.structures import Structure, find_structures

_CASES = 8  # labeled volumes whose voxels are read: more change medians little
_VOXELS = 200_000  # of a volume, for its percentiles

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Fingerprint:
    """What rules need to know of a dataset.

    Axes are those of RAS, the orientation in which networks see volumes.

    Args:
        labels: label names by value, with the background.
        shape: voxels along each axis, the median over training volumes.
        spacing: millimeters along each axis, the median over training volumes.
        slice_axis: the axis that most training volumes are cut along.
        intensities: of each channel, the lowest value, percentiles 0.5 and 99.5, and the highest; medians over labeled
            volumes.
        foreground: of the first channel, the lowest and the highest median of a class; medians over labeled volumes.
        structures: what the classes measure, the smallest diameter first.
        sides: names that say left or right of something that comes in pairs.
        labeled, unlabeled, validation, test: volumes of each split.
    """

    labels: dict[int, str]
    shape: Triple
    spacing: Triple
    slice_axis: int
    intensities: tuple[tuple[float, ...], ...]
    foreground: tuple[float, float]
    structures: tuple[Structure, ...]
    sides: tuple[str, ...]
    labeled: int
    unlabeled: int
    validation: int
    test: int

    @property
    def extent(self) -> Triple:
        """Millimeters along each axis."""
        x, y, z = (count * step for count, step in zip(self.shape, self.spacing, strict=True))
        return x, y, z

    @property
    def scored(self) -> int:
        """Volumes that the evaluation after training scores."""
        return self.test or self.validation


def read_fingerprint(root: str | os.PathLike[str], labeled_cases: int | None = None, seed: int = 0) -> Fingerprint:
    """Read headers of all training volumes, and the voxels of the first labeled ones.

    Label maps of unlabeled, validation and test volumes are not read for it.

    Args:
        root: the dataset's folder, see :class:`fewlabel.data.Cohort`.
        labeled_cases: as for the training run.
        seed: as for the training run.

    Raises:
        FileNotFoundError: the folder does not exist.
        ValueError: the dataset has a fault that would stop the training run, or no labeled voxel.
    """
    found = inspect_dataset(root, labeled_cases, seed)
    raise_errors(found.root, found.problems)
    headers = [found.headers[item["volume"]] for item in (*found.items["labeled"], *found.items["unlabeled"])]
    shape, spacing = (_medians(triples) for triples in zip(*map(_of_network, headers), strict=True))
    intensities, foregrounds, structures = [], [], []
    for item in found.items["labeled"][:_CASES]:
        channels, label = _read(item, found)
        intensities.append([_percentiles(channel.ravel(order="K"), (0, 0.5, 99.5, 100)) for channel in channels])
        medians = _class_medians(channels[0], label, found.labels)
        if medians:
            foregrounds.append((min(medians), max(medians)))
        header = found.headers[item["volume"]]
        structures.append(find_structures(label, header.spacing, found.labels, _stored_slice_axis(header)))
    if not foregrounds:
        raise ValueError(f"{found.root}: the labeled cases have no labeled voxel; label a structure in one of them")
    low, high = np.median(foregrounds, axis=0).tolist()
    return Fingerprint(
        labels=found.labels,
        shape=shape,
        spacing=spacing,
        slice_axis=Counter(find_slice_axis(each.affine, each.shape) for each in headers).most_common(1)[0][0],
        intensities=tuple(tuple(channel) for channel in np.median(intensities, axis=0).tolist()),
        foreground=(low, high),
        structures=_over_volumes(structures),
        sides=tuple(sided_labels(found.labels.values())),
        **{split: len(items) for split, items in found.items.items()},
    )


def _read(item: Item, found: Inspection) -> tuple[list[NDArray[Any]], NDArray[Any]]:
    ignored = [] if found.ignored is None else [found.ignored]
    label, _ = read_volume(item["label"], allowed=[*found.labels, *ignored])
    channels = read_channels(item["image"])
    if not all(np.isfinite(channel).all() for channel in channels):
        raise ValueError(
            f"{item['image']} holds NaN or infinite voxels: export it again, or replace them by the background value"
        )
    return channels, label


def _of_network(header: Header) -> tuple[Triple, Triple]:
    """Shape and spacing along the axes of RAS."""
    x, y, z = find_reorientation(header.affine, header.shape).axes
    shape, spacing = header.shape, header.spacing
    return (shape[x], shape[y], shape[z]), (spacing[x], spacing[y], spacing[z])


def _stored_slice_axis(header: Header) -> int:
    axes = find_reorientation(header.affine, header.shape).axes
    return axes[find_slice_axis(header.affine, header.shape)]


def _medians(triples: tuple[Triple, ...]) -> Triple:
    x, y, z = (float(median(values)) for values in zip(*triples, strict=True))
    return x, y, z


def _class_medians(channel: NDArray[Any], label: NDArray[Any], labels: Mapping[int, str]) -> list[float]:
    inside = (channel[label == value] for value in labels if value != 0)
    return [float(np.median(voxels)) for voxels in inside if voxels.size]


def _percentiles(values: NDArray[Any], wanted: tuple[float, ...]) -> list[float]:
    sample = values[:: max(1, values.size // _VOXELS)]
    ends = {0.0: float(values.min()), 100.0: float(values.max())}  # exact: one voxel may be an end
    return [ends[share] if share in ends else float(np.percentile(sample, share)) for share in wanted]


def _over_volumes(found: list[dict[int, Structure]]) -> tuple[Structure, ...]:
    values = sorted({value for volume in found for value in volume})
    return tuple(
        sorted(
            (Structure.median([volume[value] for volume in found if value in volume]) for value in values),
            key=lambda structure: structure.diameter,
        )
    )
