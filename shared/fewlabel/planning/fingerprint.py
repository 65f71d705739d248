"""What a dataset is like, as far as a plan depends on it; read without PyTorch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewlabel.data.checks.inspection import Inspection, inspect_dataset
from fewlabel.data.checks.problems import raise_errors
from fewlabel.data.files.volumes import read_volume
from fewlabel.planning.structures import Structure, find_structures
from fewlabel.sides import sided_labels

_CASES = 8  # labeled volumes whose voxels are read: more change medians little
_VOXELS = 200_000  # of a volume, for its percentiles

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Fingerprint:
    """What rules need to know of a dataset.

    Args:
        labels: label names by value, with the background.
        shape: voxels along each stored axis, the median over training volumes.
        spacing: millimeters along each stored axis, the median over training volumes.
        intensities: the lowest value, percentiles 0.5 and 99.5, and the highest; medians over labeled volumes.
        foreground: percentiles 0.5 and 99.5 of labeled voxels, medians over labeled volumes.
        structures: what the classes measure, smallest class first.
        sides: names that say left or right of something that comes in pairs.
        labeled, unlabeled, validation, test: volumes of each split.
    """

    labels: dict[int, str]
    shape: Triple
    spacing: Triple
    intensities: tuple[float, float, float, float]
    foreground: tuple[float, float]
    structures: tuple[Structure, ...]
    sides: tuple[str, ...]
    labeled: int
    unlabeled: int
    validation: int
    test: int

    @property
    def num_classes(self) -> int:
        """Classes with the background."""
        return len(self.labels)

    @property
    def extent(self) -> Triple:
        """Millimeters along each stored axis."""
        x, y, z = (count * step for count, step in zip(self.shape, self.spacing, strict=True))
        return x, y, z

    @property
    def scored(self) -> int:
        """Volumes that the evaluation after training scores."""
        return self.test or self.validation


def read_fingerprint(root: str | os.PathLike[str], labeled_cases: int | None = None, seed: int = 0) -> Fingerprint:
    """Read headers of all training volumes, and the voxels of the first labeled ones.

    Label maps of unlabeled, validation and test volumes are not read.

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
    shapes, spacings = _geometry(found)
    intensities, foregrounds, structures = [], [], []
    for item in found.items["labeled"][:_CASES]:
        image, affine = read_volume(item["image"], finite=True)
        label, _ = read_volume(item["label"], allowed=list(found.labels))
        intensities.append(_percentiles(image.ravel(order="K"), (0, 0.5, 99.5, 100)))
        inside = image[label > 0]
        if inside.size:
            foregrounds.append(_percentiles(inside, (0.5, 99.5)))
        spacing = np.linalg.norm(affine[:3, :3], axis=0)
        structures.append(find_structures(label, spacing, found.labels))
    if not foregrounds:
        raise ValueError(f"{found.root}: the labeled cases have no labeled voxel; label a structure in one of them")
    low, high = np.median(foregrounds, axis=0).tolist()
    return Fingerprint(
        labels=found.labels,
        shape=_medians(shapes),
        spacing=_medians(spacings),
        intensities=tuple(np.median(intensities, axis=0).tolist()),
        foreground=(low, high),
        structures=_over_volumes(structures),
        sides=tuple(sided_labels(found.labels.values())),
        **{split: len(items) for split, items in found.items.items()},
    )


def _geometry(found: Inspection) -> tuple[list[Triple], list[Triple]]:
    training = [*found.items["labeled"], *found.items["unlabeled"]]
    headers = [found.headers[item["volume"]] for item in training]
    return [header.shape for header in headers], [header.spacing for header in headers]


def _medians(triples: list[Triple]) -> Triple:
    x, y, z = (float(median(values)) for values in zip(*triples, strict=True))
    return x, y, z


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
