"""A dataset as four MONAI datalists: labeled, unlabeled, validation, test."""

from __future__ import annotations

import os

from fewlabel.data.checks.inspection import inspect_dataset
from fewlabel.data.checks.problems import raise_errors
from fewlabel.data.layout.splits_json import SPLITS


class Cohort:
    """A dataset folder as MONAI datalists, checked as far as names and headers tell.

    Reads nnU-Net's layout and the Medical Segmentation Decathlon's (see `read_layout`), split by `splits.json` or by
    rule (see `partition`). Label maps of unlabeled volumes, and of labeled cases beyond `labeled_cases`, are never
    opened, and their items have no "label" key.

    Args:
        root: the folder with `imagesTr`, `labelsTr` and `dataset.json`.
        labeled_cases: train with the first N labeled cases; the others join the unlabeled ones. None takes all.
        seed: orders the labeled cases when `splits.json` does not.
        fold: of nnU-Net's `splits_final.json`, which decides where there is no `splits.json`; the first by default.

    Attributes:
        labeled, unlabeled, validation, test: lists of `{"image", "label" (absent when unlabeled), "case", "volume"}`,
            where "image" is a file, or the list of the files of the channels.
        labels: label names by value; 0 is the background.
        num_classes: with the background.
        ignored: the label value of voxels that nobody annotated, nnU-Net's "ignore" label; None if there is none.
        channels: names of the channels of an image.
        in_channels: their number.
        notes: what was decided by rule, for instance which cases validate.

    Raises:
        FileNotFoundError: the folder does not exist.
        ValueError: anything that would spoil training, with the file and the fix.

    """

    def __init__(
        self, root: str | os.PathLike[str], labeled_cases: int | None = None, seed: int = 0, fold: int | None = None
    ) -> None:
        found = inspect_dataset(root, labeled_cases, seed, fold)
        raise_errors(found.root, found.problems)
        self.root = found.root
        self.labels = found.labels
        self.num_classes = len(found.labels)
        self.ignored = found.ignored
        self.channels = found.channels
        self.in_channels = len(found.channels)
        self.labeled, self.unlabeled, self.validation, self.test = (found.items[split] for split in SPLITS)
        self.notes = [problem.message for problem in found.problems]
