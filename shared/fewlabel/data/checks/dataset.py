"""Look through a whole dataset, voxels included, before hours of training."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from fewlabel.conventions.orientation import find_reorientation, orientation_code
from fewlabel.data.checks.geometry import plane_of
from fewlabel.data.checks.hounsfield import HounsfieldImages
from fewlabel.data.checks.inspection import Inspection, Item, inspect_dataset
from fewlabel.data.checks.patients import PatientScans
from fewlabel.data.checks.problems import Problem
from fewlabel.data.checks.report import CheckReport, Row
from fewlabel.data.files.formats import Header
from fewlabel.data.files.volumes import (
    check_label_values,
    image_files,
    is_finite,
    label_values,
    read_channels,
    read_volume,
    verify_checksum,
)
from fewlabel.data.layout.splits_json import SPLITS

_SPACING_RATIO = 1.1  # spacings that differ less than this are one protocol


def check(
    root: str | os.PathLike[str], labeled_cases: int | None = None, seed: int = 0, fold: int | None = None
) -> CheckReport:
    """Find everything wrong with a dataset at once, as `Cohort` would read it.

    Adds to the checks of `Cohort` what needs the voxels: damaged files, NaN and infinity, constant images,
    the same scan under two names, also where it was cropped, shifted or scaled (see `find_doubles`), label values that
    are no whole numbers or not in `dataset.json`, empty label maps, labels that no training scan shows, CT in
    Hounsfield units. Label maps of unlabeled volumes, and of labeled cases beyond `labeled_cases`, are never opened.

    Args:
        root: the folder with `imagesTr`, `labelsTr` and `dataset.json`.
        labeled_cases: as for `Cohort`.
        seed: as for `Cohort`.
        fold: as for `Cohort`.

    Returns:
        A report whose `str` is a table, the problems and their fixes; its `ok` is False when there are errors.

    Raises:
        FileNotFoundError: the folder does not exist.
        ValueError: `labeled_cases` or `seed` is no whole number, `labeled_cases` is below 1, or a fold is asked for
            and there are none.

    """
    found = inspect_dataset(root, labeled_cases, seed, fold)
    inspection = _Inspection(found.labels, found.ignored, found.problems, found.headers)
    items = [(split, item) for split in SPLITS for item in found.items[split]]
    for split, item in tqdm(items, desc="checking", unit="scan", disable=None):
        inspection.look_at(split, item)
    _absent_labels(found, inspection)
    found.problems.extend(inspection.hounsfield.problems())
    found.problems.extend(inspection.scans.problems(inspection.same))
    _spacings(found)
    _hidden_groups(found)
    rows = tuple(_row(split, item, found, inspection) for split, item in items)
    return CheckReport(found.root, found.labels, rows, tuple(found.problems), found.channels, found.ignored)


@dataclass
class _Inspection:
    """Looks at the voxels of one volume after the other, and remembers what they hold."""

    labels: dict[int, str]
    ignored: int | None
    problems: list[Problem]
    headers: dict[str, Header]
    values: dict[str, list[float]] = field(default_factory=dict)
    seen: dict[bytes, tuple[str, str, str]] = field(default_factory=dict)
    same: set[frozenset[str]] = field(default_factory=set)
    scans: PatientScans = field(default_factory=PatientScans)
    hounsfield: HounsfieldImages = field(default_factory=HounsfieldImages)

    def look_at(self, split: str, item: Item) -> None:
        """Read a volume's image, and its label map when the item names one."""
        channels = self._read(item, "image")
        files = [str(file) for file in image_files(item["image"])]
        names = [files[min(number, len(files) - 1)] for number in range(len(channels))]
        sound = [self._image(item, *channel) for channel in zip(names, channels, strict=True)]
        if channels and all(sound):
            self._same_scan(split, item, names[0], channels)
            if item["volume"] in self.headers:
                self.scans.look_at(split, item, channels[0], self.headers[item["volume"]])
        labels = self._read(item, "label") if "label" in item else []
        for label in labels:
            self._label(item, label)
        # Hounsfield units are those of CT, which has one channel
        if len(channels) == 1 and is_finite(channels[0]):
            self.hounsfield.look_at(item["volume"], channels[0], labels[0] if labels and split == "labeled" else None)

    def _read(self, item: Item, key: str) -> list[NDArray[Any]]:
        """Read the channels of an image, or the label map; nothing if that fails, or its header could not be read."""
        told = [problem.message for problem in self.problems if (problem.kind, problem.volume) == _unreadable(item)]
        if any(message.startswith(f"{file} ") for message in told for file in image_files(item[key])):
            return []
        try:
            arrays = [read_volume(item[key])[0]] if key == "label" else read_channels(item[key])
            for file in image_files(item[key]):
                verify_checksum(file)
        except (ValueError, OSError) as error:
            self._add("error", "unreadable", str(error), item)
            return []
        return arrays

    def _image(self, item: Item, path: str, array: NDArray[Any]) -> bool:
        """Whether a channel is finite and not constant."""
        if not is_finite(array):
            fix = "export it again, or replace them by the background value"
            self._add("error", "not finite", f"{path} holds NaN or infinite voxels: {fix}", item)
            return False
        if array.min() == array.max():
            message = f"{path} has the same value, {array.min():g}, everywhere: export it again, or remove it"
            self._add("warning", "constant", message, item)
            return False
        return True

    def _same_scan(self, split: str, item: Item, path: str, channels: list[NDArray[Any]]) -> None:
        digest = hashlib.blake2b(digest_size=16)
        for array in channels:
            # the arrays come in Fortran order, so the transpose is contiguous and nothing is copied
            digest.update(np.ascontiguousarray(array.T).data)
        other_split, other, volume = self.seen.setdefault(digest.digest(), (split, path, item["volume"]))
        if other != path:
            self.same.add(frozenset((volume, item["volume"])))
            leak = split != other_split and {split, other_split} & {"validation", "test"}
            message = f"{path} ({split}) has the same voxels as {other} ({other_split}): remove one of them"
            self._add("error" if leak else "warning", "same scan", message, item)

    def _label(self, item: Item, array: NDArray[Any]) -> None:
        values = self.values[item["volume"]] = label_values(array)
        path = Path(item["label"])
        try:
            # without dataset.json, already an error, only whole numbers can be asked for
            known = {*self.labels, *([] if self.ignored is None else [self.ignored])}
            check_label_values(path, values, known or {int(value) for value in values if value == value // 1})
        except ValueError as error:
            self._add("error", "label values", str(error), item)
        if set(values) <= {0, self.ignored}:
            fix = "if it was not annotated, remove the file and the scan counts as unlabeled"
            self._add("warning", "empty label", f"{path} holds background only: {fix}", item)

    def _add(self, severity: Literal["error", "warning"], kind: str, message: str, item: Item) -> None:
        problem = Problem(severity, kind, message, item["volume"])
        if problem not in self.problems:  # what spoils a header was found before
            self.problems.append(problem)


def _unreadable(item: Item) -> tuple[str, str]:
    return "unreadable", str(item["volume"])


def _row(split: str, item: Item, found: Inspection, inspection: _Inspection) -> Row:
    name = item["volume"]
    header, values = found.headers.get(name), inspection.values.get(name)
    problems = tuple(problem for problem in found.problems if problem.volume == name and problem.severity != "note")
    return Row(
        split,
        item["case"],
        name,
        header.shape if header else None,
        header.spacing if header else None,
        orientation_code(header.affine) if header else None,
        plane_of(header) if header else None,
        None if values is None else tuple(values),
        problems,
    )


def _absent_labels(found: Inspection, inspection: _Inspection) -> None:
    """Warn of labels that no labeled training scan shows: nothing can learn them."""
    readable = [item["volume"] for item in found.items["labeled"] if item["volume"] in inspection.values]
    present = {value for name in readable for value in inspection.values[name]}
    for value, name in found.labels.items():
        if readable and value and value not in present:
            message = f"label {value} ({name}) occurs in none of the {len(readable)} labeled training volumes"
            fix = "label a scan that shows it, or remove it from dataset.json"
            found.problems.append(Problem("warning", "absent label", f"{message}: {fix}"))


def _spacings(found: Inspection) -> None:
    spacings = np.array([_canonical_spacing(header) for header in found.headers.values()]).reshape(-1, 3)
    if not len(spacings):
        return
    low, high = spacings.min(axis=0), spacings.max(axis=0)
    if (high > _SPACING_RATIO * low).any():
        ranges = ", ".join(f"{axis} {a:.2f} to {b:.2f}" for axis, a, b in zip("xyz", low, high, strict=True))
        message = f"the spacing differs between volumes ({ranges} mm): 3D bundles resample, 2D ones resize slices"
        found.problems.append(Problem("note", "spacing", message))


def _canonical_spacing(header: Header) -> NDArray[np.float64]:
    affine = find_reorientation(header.affine, header.shape).affine(header.affine, header.shape)
    spacing: NDArray[np.float64] = np.linalg.norm(affine[:3, :3], axis=0)
    return spacing


def _hidden_groups(found: Inspection) -> None:
    """Note names such as `patient001_frame01`, `patient001_frame12` that "cases" could group."""
    items = [item for split in SPLITS for item in found.items[split]]
    if any(item["case"] != item["volume"] for item in items):
        return
    sizes = Counter(stem for item in items if (stem := item["volume"].rpartition("_")[0]))
    groups = [stem for stem, count in sizes.items() if 2 <= count <= 4]
    if len(groups) >= 2 and 2 * sum(sizes[stem] for stem in groups) > len(items):
        found.problems.append(
            Problem(
                "note",
                "cases",
                f"several volumes begin with {groups[0]!r}: if they show one patient, group them under 'cases' in "
                "splits.json, so that no patient is both in training and in validation",
            )
        )
