"""Find one patient's scans on both sides of a dataset's split."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewlabel.conventions.orientation import find_reorientation
from fewlabel.data.checks.doubles import Double, find_doubles
from fewlabel.data.checks.inspection import Item, inspect_dataset
from fewlabel.data.checks.keypoints import Keypoints, find_keypoints
from fewlabel.data.checks.problems import Problem
from fewlabel.data.files.formats import Header
from fewlabel.data.files.volumes import is_finite, read_channels
from fewlabel.data.layout.splits_json import SPLITS
from fewlabel.listing import first_few

_TRAINING = {"labeled", "unlabeled"}
_SHOWN = 20


@dataclass
class PatientScans:
    """The scans of a dataset, looked at one after the other.

    Args:
        keypoints: of each, by volume.
        places: split and item of each.
        headers: of each.
    """

    keypoints: dict[str, Keypoints] = field(default_factory=dict)
    places: dict[str, tuple[str, Item]] = field(default_factory=dict)
    headers: dict[str, Header] = field(default_factory=dict)

    def look_at(self, split: str, item: Item, image: NDArray[Any], header: Header) -> None:
        """Remember a scan by its keypoints; ``image`` is its first channel, finite throughout."""
        name = item["volume"]
        self.places[name] = (split, item)
        self.headers[name] = header
        canonical, spacing = _canonical(image, header)
        self.keypoints[name] = find_keypoints(canonical, spacing)

    def doubles(self) -> list[Double]:
        """Return the pairs of scans of different cases that show the same."""
        return find_doubles(self.keypoints, self._read, self._of_one_case)

    def problems(self, known: Collection[frozenset[str]] = ()) -> Iterator[Problem]:
        """Yield a warning for each pair on two sides of the split, and one for all others.

        Args:
            known: pairs of volumes that are reported already.
        """
        doubles = [each for each in self.doubles() if frozenset((each.first, each.second)) not in known]
        apart = [each for each in doubles if len({self._side(each.first), self._side(each.second)}) > 1]
        for double in apart[:_SHOWN]:
            yield Problem("warning", "one patient", f"{self._describe(double)}: keep them on one side", double.first)
        if len(apart) > _SHOWN:
            message = f"{len(apart) - _SHOWN} more pairs of scans on two sides of the split show the same"
            yield Problem("warning", "one patient", f"{message}: group them under 'cases' in splits.json")
        together = [self._describe(each) for each in doubles if each not in apart]
        if together:
            fix = "such a patient counts twice: leave one out, or group the scans under 'cases' in splits.json"
            yield Problem("warning", "one patient", f"{first_few(together, 3)}: {fix}")

    def held_out(self, split: str) -> dict[str, list[Double]]:
        """Return the cases of a split with a double among the training scans, with the pairs that say so."""
        found: dict[str, list[Double]] = {}
        for double in self.doubles():
            for name, other in ((double.first, double.second), (double.second, double.first)):
                own, item = self.places[name]
                if own == split and self.places[other][0] in _TRAINING:
                    found.setdefault(item["case"], []).append(double)
        return found

    def _read(self, name: str) -> NDArray[Any]:
        image = read_channels(self.places[name][1]["image"])[0]
        return _canonical(image, self.headers[name])[0]

    def _of_one_case(self, first: str, second: str) -> bool:
        return bool(self.places[first][1]["case"] == self.places[second][1]["case"])

    def _side(self, name: str) -> str:
        split = self.places[name][0]
        return "training" if split in _TRAINING else split

    def _describe(self, double: Double) -> str:
        names = [f"{name} ({self.places[name][0]})" for name in (double.first, double.second)]
        shift = "without a shift" if not any(double.shift) else f"after a shift of {double.shift} voxels"
        if double.identical > 0.99:
            how = f"have {double.identical:.1%} identical voxels {shift}"
        else:
            how = f"look alike {shift}, with a correlation of {double.correlation:.4f}"
        return f"{' and '.join(names)} {how}"


def _canonical(image: NDArray[Any], header: Header) -> tuple[NDArray[Any], tuple[float, ...]]:
    """Return gray values and spacing in canonical orientation, slices last: copies are often stored otherwise."""
    order = find_reorientation(header.affine, image.shape)
    affine = order.affine(header.affine, image.shape)
    return order.apply_to_array(image), tuple(np.linalg.norm(affine[:3, :3], axis=0).tolist())


def scans_of(root: str | os.PathLike[str]) -> PatientScans:
    """Look at all scans of a dataset; those that cannot be read are left out.

    Raises:
        FileNotFoundError: the folder does not exist.
    """
    found = inspect_dataset(root)
    scans = PatientScans()
    for split in SPLITS:
        for item in found.items[split]:
            header = found.headers.get(item["volume"])
            image = None if header is None else read_channels(item["image"])[0]
            if header is not None and image is not None and is_finite(image):
                scans.look_at(split, item, image, header)
    return scans
