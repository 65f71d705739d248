"""Decide which case trains with its labels, trains without, validates or tests: from a file, else by rule."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from itertools import combinations
from typing import Literal

from fewlabel.data.checks.problems import Problem
from fewlabel.data.layout.folders import Layout
from fewlabel.data.layout.splits_final import read_fold
from fewlabel.data.layout.splits_json import SPLITS, Split, SplitsFile, read_splits
from fewlabel.listing import first_few


@dataclass
class Splits:
    """The four splits of a dataset.

    Args:
        splits: for each of `SPLITS` the names of the volumes by case, in order.
        problems: errors of `splits.json`, and notes on what was decided by rule.

    """

    splits: dict[str, Split] = field(default_factory=lambda: {split: {} for split in SPLITS})
    problems: list[Problem] = field(default_factory=list)

    def add(self, severity: Literal["error", "note"], kind: str, message: str) -> None:
        """Note an error or a decision."""
        self.problems.append(Problem(severity, kind, message))


def shuffled(cases: list[str], seed: int) -> list[str]:
    """The cases in a random order that stays the same everywhere, and that a new case joins without moving the others.

    >>> shuffled(["a", "b", "c"], seed=0) == [case for case in shuffled(["a", "b", "c", "d"], seed=0) if case != "d"]
    True
    """
    return sorted(cases, key=lambda case: hashlib.sha256(f"{seed}/{case}".encode()).digest())


def held_out(cases: int) -> int:
    """How many of the labeled cases are held out for validation: a tenth, at least one, and none of fewer than three.

    >>> [held_out(cases) for cases in (1, 2, 3, 12, 15, 100)]
    [0, 0, 1, 1, 2, 10]
    """
    return max(1, (cases + 5) // 10) if cases >= 3 else 0


def assign_splits(layout: Layout, seed: int = 0, fold: int | None = None) -> Splits:
    """Split a dataset.

    A split that `splits.json` gives is taken literally, in its order. One that it does not give (or all, without the
    file) follows a rule:

    - labeled: every case of `imagesTr` with a label map that no other split names, shuffled by the seed;
    - validation: the last `held_out` of these (none when `splits.json` gives the labeled split: its cases all train);
    - test: the volumes of `imagesTs` with a label map;
    - unlabeled: all else in `imagesTr`, but nothing of a validation or test case.

    A case is what `splits.json` groups under "cases", or a volume on its own. Volumes of a labeled case that have no
    label map are unlabeled.

    Without `splits.json`, a fold of nnU-Net's `splits_final.json` says which cases are labeled, shuffled by the seed,
    and which validate.

    Args:
        layout: the files.
        seed: orders the labeled cases when `splits.json` does not.
        fold: of `splits_final.json`, the first one by default.

    Raises:
        ValueError: a fold is asked for, and no `splits_final.json` decides.

    """
    given = read_splits(layout)
    found = Splits(problems=given.problems)
    chosen = read_fold(layout, fold)
    if chosen is not None:
        found.problems.extend(chosen.problems)
        if chosen.train or chosen.validation:
            given.splits["labeled"] = {name: [name] for name in shuffled(chosen.train, seed) if name in layout.volumes}
            given.splits["validation"] = {name: [name] for name in chosen.validation if name in layout.volumes}
    _labeled_and_validation(layout, given, seed, found)
    found.splits["test"] = given.splits.get("test", _scored(layout, given, found))
    found.splits["unlabeled"] = given.splits.get("unlabeled", _others(layout, given, found))
    _require_labels(layout, found)
    _forbid_overlap(layout, found)
    if not found.splits["labeled"]:
        found.add("error", "no labels", _no_labels(layout))
    _tell_unused(layout, found)
    return found


def _labeled_and_validation(layout: Layout, given: SplitsFile, seed: int, found: Splits) -> None:
    validation = given.splits.get("validation", {})
    if "labeled" in given.splits:
        labeled = given.splits["labeled"]
        if "validation" not in given.splits:
            message = "splits.json names the labeled cases but no validation: none is held out"
            found.add("note", "no validation", message)
    else:
        elsewhere = {case for cases in given.splits.values() for case in cases}
        usable = {name for name, volume in layout.volumes.items() if volume.training and volume.label}
        free = [case for case, names in given.cases.items() if case not in elsewhere and usable & set(names)]
        order = shuffled(free, seed)
        labeled = {case: [name for name in given.cases[case] if layout.volumes[name].training] for case in order}
        if "validation" not in given.splits:
            validation = {case: labeled.pop(case) for case in order[len(order) - held_out(len(order)) :]}
            _tell_validation(len(order), validation, found)
    found.splits["labeled"], found.splits["validation"] = dict(labeled), dict(validation)


def _tell_validation(labeled: int, validation: Split, found: Splits) -> None:
    if validation:
        message = f"{len(validation)} of {labeled} labeled cases validate ({first_few(validation)})"
        found.add("note", "validation", f"{message}; name them under 'validation' in splits.json to choose others")
    elif labeled:
        message = f"{labeled} labeled case{'s are' if labeled > 1 else ' is'} too few to hold one out for validation"
        found.add("note", "no validation", f"{message}: all train, and no validation score will be reported")


def _scored(layout: Layout, given: SplitsFile, found: Splits) -> Split:
    """The volumes of `imagesTs` with a label map that no split names."""
    named = _names(found.splits["labeled"], found.splits["validation"], given.splits.get("unlabeled", {}))
    case_of, test = given.case_of, Split()
    for name, volume in layout.volumes.items():
        if not volume.training and volume.label and name not in named:
            test.setdefault(case_of[name], []).append(name)
    return test


def _others(layout: Layout, given: SplitsFile, found: Splits) -> Split:
    """The volumes of `imagesTr` that no split uses and whose case is not held out."""
    used = _names(found.splits["labeled"])
    held = {*found.splits["validation"], *found.splits["test"]}
    case_of, others = given.case_of, Split()
    for name, volume in layout.volumes.items():
        if volume.training and name not in used and case_of[name] not in held:
            others.setdefault(case_of[name], []).append(name)
    return others


def _names(*splits: Split) -> set[str]:
    return {name for split in splits for names in split.values() for name in names}


def _require_labels(layout: Layout, found: Splits) -> None:
    """Drop volumes without a label map where one is needed; those of labeled cases become unlabeled."""
    for split in ("labeled", "validation", "test"):
        for case, names in list(found.splits[split].items()):
            with_label = [name for name in names if layout.volumes[name].label]
            without = [name for name in names if name not in with_label]
            if with_label:
                found.splits[split][case] = with_label
            else:
                del found.splits[split][case]
                image = layout.volumes[names[0]].image
                message = f"case {case!r} is in {split!r} of splits.json, but {image} has no label map"
                found.add("error", "no label", f"{message}: add it, or move the case to 'unlabeled'")
            if split == "labeled" and with_label and without:
                listed = found.splits["unlabeled"].setdefault(case, [])
                listed.extend(name for name in without if name not in listed)


def _forbid_overlap(layout: Layout, found: Splits) -> None:
    for first, second in combinations(SPLITS, 2):
        ours, theirs = found.splits[first], found.splits[second]
        shared = [case for case in ours if case in theirs]
        if (first, second) == ("labeled", "unlabeled"):  # one patient may train with one scan labeled and another not
            shared = [case for case in shared if set(ours[case]) & set(theirs[case])]
        for case in shared:
            message = f"case {case!r} is in both {first!r} and {second!r}"
            found.add("error", "two splits", f"{message}: keep it in one of them in {layout.root / 'splits.json'}")


def _no_labels(layout: Layout) -> str:
    images = [volume for volume in layout.volumes.values() if volume.training]
    example = f"{images[0].name}.nii.gz" if images else "<volume>.nii.gz"
    return (
        f"no labeled case to train with in {layout.root}: expected at least one label map named like its image, "
        f"for instance labelsTr/{example}"
    )


def _tell_unused(layout: Layout, found: Splits) -> None:
    unused = sorted(set(layout.volumes) - _names(*found.splits.values()))
    if unused:
        several = "s are" if len(unused) > 1 else " is"
        message = f"{len(unused)} volume{several} in no split and not used ({first_few(unused)})"
        found.add("note", "not used", f"{message}: name them in splits.json, or label the test scans")
