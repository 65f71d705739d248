"""Figures that papers report, labeled as theirs and with how they chose their checkpoint."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_FILE = Path(__file__).with_name("published.json")
# the names by which folders of these datasets go
_DATASETS = {
    "acdc": "acdc",
    "la": "la",
    "left_atrium": "la",
    "atria": "la",
    "pancreas": "pancreas",
    "synapse": "synapse",
}


@dataclass(frozen=True)
class PublishedFigure:
    """A row of a paper's table.

    Args:
        dataset: short name.
        labeled_cases: a number.
        method: the bundle whose method it is.
        dice: in percent, as printed.
        hd95: as printed, in voxels where the paper's code counts them; None where the paper has none.
        checkpoint: how the paper chose the weights that it scored.
        source: where it stands.
    """

    dataset: str
    labeled_cases: str
    method: str
    dice: float
    hd95: float | None
    checkpoint: str
    source: str


def published_figures(dataset: str, labeled_cases: Iterable[str], methods: Iterable[str]) -> list[PublishedFigure]:
    """Return what papers report of these methods, on test cases, with these numbers of labels.

    Args:
        dataset: the name of its folder; one that no paper here is about has no figures.
        labeled_cases: numbers, or "all".
        methods: names of bundles.
    """
    known = _DATASETS.get(dataset.lower().replace("-", "_"))
    asked, wanted = set(labeled_cases), list(methods)
    figures = [PublishedFigure(**row) for row in json.loads(_FILE.read_text(encoding="utf-8"))]
    found = [
        each for each in figures
        if each.dataset == known and each.labeled_cases in asked and each.method in wanted
    ]  # fmt: skip
    return sorted(found, key=lambda each: (int(each.labeled_cases), wanted.index(each.method)))
