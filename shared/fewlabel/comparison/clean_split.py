"""Scored patients whose scans are in the training data too."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from fewlabel.atomic import atomic_write
from fewlabel.data.checks.patients import scans_of


def find_held_out_doubles(out: Path, datasets: Mapping[str, str], split: str) -> dict[str, set[str]]:
    """Return the cases of a split that have a double among the training scans, by dataset.

    What was found is kept in ``doubles.json`` of the comparison's folder, for tables that are written again.

    Args:
        out: the comparison's folder.
        datasets: folder of each dataset by its name.
        split: "validation" or "test".

    Raises:
        FileNotFoundError: a dataset is not there, and was not looked at before.
        ValueError: ``doubles.json`` is damaged.
    """
    file = out / "doubles.json"
    found: dict[str, dict[str, list[str]]] = {}
    if file.is_file():
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{file}: no JSON ({error}); remove it, and the scans are looked at again") from error
    known = found.setdefault(split, {})
    for dataset, folder in datasets.items():
        if dataset not in known:
            known[dataset] = sorted(scans_of(folder).held_out(split))
    atomic_write(file, (json.dumps(found, indent=2) + "\n").encode())
    return {dataset: set(known[dataset]) for dataset in datasets}
