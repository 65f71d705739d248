"""Read nnU-Net's `splits_final.json`: the folds of a cross-validation, of which a training run uses one."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fewlabel.data.checks.problems import Problem
from fewlabel.data.layout.folders import Layout
from fewlabel.json_files import read_json
from fewlabel.listing import shown

NAME = "splits_final.json"


@dataclass
class Fold:
    """One fold.

    Args:
        number: counted from 0.
        train: names of the volumes that train with their labels.
        validation: names of those that validate.
        problems: what is wrong with the file, and which fold was taken.

    """

    number: int = 0
    train: list[str] = field(default_factory=list)
    validation: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def read_fold(layout: Layout, fold: int | None) -> Fold | None:
    """Read a fold, the first one by default; None if there is no such file, or `splits.json` decides.

    Args:
        layout: the files of the dataset.
        fold: its number, from 0.

    Raises:
        ValueError: a fold is asked for, and no `splits_final.json` decides.

    """
    path, ours = layout.root / NAME, layout.root / "splits.json"
    decides, there = os.path.lexists(ours), os.path.lexists(path)  # a link that points nowhere is not passed over
    if decides or not there:
        if fold is not None:
            why = f"{ours} decides about the splits" if decides else f"{path} does not exist"
            raise ValueError(f"fold is {fold}, but {why}: leave --fold out, or name the folds in {NAME}")
        if there:
            return Fold(problems=[Problem("note", "splits", f"{path} is not used, because {ours} decides")])
        return None
    try:
        folds = _folds(path)
        number = _check_fold(path, folds, fold)
    except (ValueError, OSError) as error:
        return Fold(problems=[Problem("error", NAME, str(error))])
    found = Fold(number, folds[number]["train"], folds[number]["val"])
    found.problems = [*_unknown(path, layout, found), _told(path, len(folds), found)]
    return found


def _folds(path: Path) -> list[dict[str, Any]]:
    folds = read_json(path)
    if not isinstance(folds, list) or not folds or not all(map(_is_fold, folds)):
        raise ValueError(
            f'{path} is no list of folds; expected [{{"train": ["case", ...], "val": ["case", ...]}}, ...]'
        )
    return folds


def _is_fold(fold: object) -> bool:
    return isinstance(fold, dict) and all(
        isinstance(fold.get(key), list) and all(isinstance(name, str) for name in fold[key]) for key in ("train", "val")
    )


def _check_fold(path: Path, folds: list[dict[str, Any]], fold: int | None) -> int:
    number = 0 if fold is None else fold
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < len(folds):
        raise ValueError(f"fold is {fold!r}, but {path} has the folds 0 to {len(folds) - 1}: choose one of them")
    return number


def _unknown(path: Path, layout: Layout, found: Fold) -> list[Problem]:
    problems = []
    for key, names in (("train", found.train), ("val", found.validation)):
        for name in names:
            if name not in layout.volumes:
                message = f"{path} names {shown(name)} in {key!r} of fold {found.number}: no such case in the dataset"
                problems.append(Problem("error", "unknown name", f"{message}; copy it, or remove the name"))
    both = sorted(set(found.train) & set(found.validation))
    if both:
        message = f"{path} has {both[0]!r} in 'train' and in 'val' of fold {found.number}: keep it in one of them"
        problems.append(Problem("error", "two splits", message))
    return problems


def _told(path: Path, folds: int, found: Fold) -> Problem:
    message = (
        f"{path} decides: fold {found.number} of {folds}, {len(found.train)} cases train and {len(found.validation)} "
        "validate; choose another with --fold"
    )
    return Problem("note", "splits", message)
