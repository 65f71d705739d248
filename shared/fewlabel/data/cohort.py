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
        labeled_cases: train with the first so many labeled cases; the others join the unlabeled ones. None takes all.
        seed: orders the labeled cases when `splits.json` does not.

    Attributes:
        labeled, unlabeled, validation, test: lists of `{"image", "label" (absent when unlabeled), "case", "volume"}`.
        labels: label names by value; 0 is the background.
        num_classes: with the background.
        notes: what was decided by rule, for instance which cases validate.

    Raises:
        FileNotFoundError: the folder does not exist.
        ValueError: anything that would spoil training, with the file and the cure.

    """

    def __init__(self, root: str | os.PathLike[str], labeled_cases: int | None = None, seed: int = 0) -> None:
        found = inspect_dataset(root, labeled_cases, seed)
        raise_errors(found.root, found.problems)
        self.root = found.root
        self.labels = found.labels
        self.num_classes = len(found.labels)
        self.labeled, self.unlabeled, self.validation, self.test = (found.items[split] for split in SPLITS)
        self.notes = [problem.message for problem in found.problems]
