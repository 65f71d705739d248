"""Phantom cohorts: synthetic datasets in our layout, so that everything runs before any scan is at hand."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fewlabel.atomic import atomic_folder, atomic_write
from fewlabel.data.files.serialization import json_bytes, nifti_bytes
from fewlabel.data.phantoms import atrium, heart
from fewlabel.data.phantoms.heart import PhantomCase
from fewlabel.json_files import read_json
from fewlabel.listing import shown

VERSION = 1  # of the drawings: raise it when the same seed gives other voxels


@dataclass(frozen=True)
class PhantomKind:
    """What a phantom needs: ``draw`` makes one case from a generator, ``labels`` names its classes."""

    draw: Callable[[np.random.Generator], PhantomCase]
    labels: dict[str, int]
    description: str


PHANTOMS: dict[str, PhantomKind] = {
    "atrium": PhantomKind(
        atrium.atrium_case,
        atrium.LABELS,
        "Synthetic left atria; drawn from random numbers, no patient data",
    ),
    "cardiac": PhantomKind(
        heart.cardiac_case,
        heart.LABELS,
        "Synthetic short-axis hearts; drawn from random numbers, no patient data",
    ),
}


def write_phantom(root: str | os.PathLike[str], kind: str = "cardiac", cases: int = 24, seed: int = 0) -> Path:
    """Write a phantom cohort to ``root``, or leave the one that is already there.

    Two thirds of the cases are for training (all with labels, in labeled order; ``Cohort(labeled_cases=k)`` hides
    the rest), one sixth for validation and one sixth for the test. Case ``i`` depends on ``(seed, i)`` only, so a
    larger cohort begins with the same cases. The same arguments give the same bytes. The folder appears whole.

    Args:
        root: The dataset's folder; it must not exist, or be empty, or hold the same phantom.
        kind: What to draw; one of ``PHANTOMS``.
        cases: How many scans in all, 3 or more.
        seed: Not negative.

    Returns:
        ``root`` as a path.

    Raises:
        ValueError: For an unknown kind, fewer than 3 cases or a negative seed.
        FileExistsError: When ``root`` holds anything else.

    """
    if kind not in PHANTOMS:
        raise ValueError(f"kind is {kind!r}, but the known phantoms are {', '.join(sorted(PHANTOMS))}")
    if isinstance(cases, bool) or not isinstance(cases, int) or cases < 3:
        raise ValueError(f"cases is {cases!r}, but training, validation and test need an integer of 3 or more")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed is {seed!r}, but it must be an integer of 0 or more")
    root = Path(root)
    identity = {"kind": kind, "seed": seed, "cases": cases, "version": VERSION}
    if _holds(root, identity):
        return root
    try:
        with atomic_folder(root) as partial:
            _write_cohort(partial, PHANTOMS[kind], identity)
    except OSError:
        # Another process, for example another rank of torchrun, may have written the same cohort meanwhile.
        if not _holds(root, identity):
            raise
    return root


def _holds(root: Path, identity: dict[str, Any]) -> bool:
    """Whether ``root`` is this very phantom; an error when something else is in the way."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    record = root / "phantom.json"
    if not record.is_file():
        raise FileExistsError(f"{root} exists and is not a phantom cohort: choose another folder, or empty this one")
    try:
        found = read_json(record)
    except ValueError as error:
        raise FileExistsError(f"{record} is not readable JSON ({error}): remove {root} and write it again") from error
    if found != identity:
        raise FileExistsError(
            f"{root} holds the phantom {shown(found)}, not {identity}: choose another folder, or remove it"
        )
    return True


def phantom_splits(names: list[str]) -> dict[str, list[str]]:
    """Split ``names`` in order: two thirds labeled, one sixth (at least one) validation, one sixth test.

    >>> {split: len(names) for split, names in phantom_splits([str(i) for i in range(24)]).items()}
    {'labeled': 16, 'unlabeled': 0, 'validation': 4, 'test': 4}
    """
    held_out = max(1, round(len(names) / 6))
    training = len(names) - 2 * held_out
    return {
        "labeled": names[:training],
        "unlabeled": [],
        "validation": names[training : training + held_out],
        "test": names[training + held_out :],
    }


def _write_cohort(folder: Path, kind: PhantomKind, identity: dict[str, Any]) -> None:
    names = [f"{identity['kind']}_{index:03d}" for index in range(identity["cases"])]
    splits = phantom_splits(names)
    for index, name in enumerate(names):
        case = kind.draw(np.random.default_rng([identity["seed"], index]))
        affine = np.diag([*case.spacing, 1.0])
        part = "Ts" if name in splits["test"] else "Tr"
        atomic_write(folder / f"images{part}" / f"{name}.nii.gz", nifti_bytes(case.image, affine))
        atomic_write(folder / f"labels{part}" / f"{name}.nii.gz", nifti_bytes(case.label, affine))
    dataset = {
        "name": f"{identity['kind']} phantom",
        "description": kind.description,
        "labels": kind.labels,
        "channel_names": {"0": "MR"},
        "file_ending": ".nii.gz",
        "numTraining": len(names) - len(splits["test"]),
    }
    atomic_write(folder / "dataset.json", json_bytes(dataset))
    atomic_write(folder / "splits.json", json_bytes(splits))
    atomic_write(folder / "phantom.json", json_bytes(identity))
