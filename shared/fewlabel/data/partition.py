"""Decide which case trains with its labels, trains without, validates or tests: from `splits.json`, else by rule."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

from fewlabel.data.description import read_json
from fewlabel.data.layout import Layout
from fewlabel.data.problems import Problem

SPLITS = ("labeled", "unlabeled", "validation", "test")
Split = dict[str, list[str]]  # volumes by case, in order


@dataclass
class Partition:
    """The four splits of a dataset.

    Args:
        splits: for each of `SPLITS` the names of the volumes by case, in order.
        problems: errors of `splits.json`, and notes on what was decided by rule.

    """

    splits: dict[str, Split] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def error(self, kind: str, message: str) -> None:
        """Note an error."""
        self.problems.append(Problem("error", kind, message))

    def note(self, kind: str, message: str) -> None:
        """Note a decision."""
        self.problems.append(Problem("note", kind, message))


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


def partition(layout: Layout, seed: int = 0) -> Partition:
    """Split a dataset.

    A split that `splits.json` gives is taken literally, in its order. One that it does not give (or all, without the
    file) follows a rule:

    - labeled: every case of `imagesTr` with a label map that no other split names, shuffled by the seed;
    - validation: the last `held_out` of these (none when `splits.json` gives the labeled split: its cases all train);
    - test: the volumes of `imagesTs` with a label map;
    - unlabeled: all else in `imagesTr`, but nothing of a validation or test case.

    A case is what `splits.json` groups under "cases", or a volume on its own. Volumes of a labeled case that have no
    label map are unlabeled.

    Args:
        layout: the files.
        seed: orders the labeled cases when `splits.json` does not.

    """
    found = Partition()
    path = layout.root / "splits.json"
    given = _read(path, found) if path.is_file() else {}
    cases = _cases(path, given.get("cases", {}), layout, found)
    case_of = {volume: case for case, volumes in cases.items() for volume in volumes}
    splits: dict[str, Split | None] = {
        split: _resolve(path, split, given[split], cases, case_of, found) if split in given else None
        for split in SPLITS
    }
    found.splits = _fill(layout, splits, cases, case_of, seed, found)
    _require_labels(layout, found)
    _forbid_overlap(path, found)
    if not found.splits["labeled"]:
        found.error("no labels", _no_labels(layout))
    return found


def _read(path: Path, found: Partition) -> dict[str, Any]:
    """The known keys of `splits.json`, each of the right type."""
    try:
        content = read_json(path)
    except ValueError as error:
        found.error("splits.json", str(error))
        return {}
    expected = f"expected {', '.join(SPLITS)} (lists of names) and cases (lists of volumes by case)"
    for key in sorted(set(content) - {*SPLITS, "cases"}):
        found.error("splits.json", f"{path} has the key {key!r}; {expected}")
    good: dict[str, Any] = {}
    for split in SPLITS:
        if split in content and _is_names(content[split]):
            good[split] = content[split]
        elif split in content:
            found.error("splits.json", f"{path} has {content[split]!r} as {split!r}; {expected}")
    cases = content.get("cases", {})
    if isinstance(cases, dict) and all(_is_names(volumes) and volumes for volumes in cases.values()):
        good["cases"] = cases
    else:
        found.error("splits.json", f"{path} has {cases!r} as 'cases'; {expected}")
    return good


def _is_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _cases(path: Path, groups: dict[str, list[str]], layout: Layout, found: Partition) -> Split:
    """Every volume under its case."""
    case_of: dict[str, str] = {}
    for case, volumes in groups.items():
        for volume in volumes:
            if volume not in layout.volumes:
                found.error("unknown name", f"{path} has the volume {volume!r} in case {case!r}: {_known(layout)}")
            elif volume in case_of:
                found.error(
                    "two cases", f"{path} has the volume {volume!r} in the cases {case_of[volume]!r} and {case!r}"
                )
            else:
                case_of[volume] = case
        if case in layout.volumes and case not in volumes:
            found.error(
                "splits.json", f"{path} has a case {case!r} that is also the name of a volume outside it: rename it"
            )
    cases: Split = {}
    for volume in layout.volumes:
        cases.setdefault(case_of.get(volume, volume), []).append(volume)
    return cases


def _resolve(
    path: Path, split: str, names: list[str], cases: Split, case_of: dict[str, str], found: Partition
) -> Split:
    """Names of cases and volumes as volumes by case."""
    resolved: Split = {}
    for name in names:
        if name not in cases and name not in case_of:
            example = next(iter(cases), None)
            hint = f"no such case or volume in the dataset, which has {len(cases)} cases such as {example!r}"
            found.error("unknown name", f"{path} names {name!r} in {split!r}: {hint}")
            continue
        case = name if name in cases else case_of[name]
        known = resolved.setdefault(case, [])
        volumes = [volume for volume in cases.get(name, [name]) if volume not in known]
        if not volumes:
            found.error("named twice", f"{path} names {name!r} twice in {split!r}: remove one")
        known.extend(volumes)
    return resolved


def _fill(
    layout: Layout,
    given: dict[str, Split | None],
    cases: Split,
    case_of: dict[str, str],
    seed: int,
    found: Partition,
) -> dict[str, Split]:
    """Give each missing split by the rules of `partition`."""
    elsewhere = {case for split in ("unlabeled", "validation", "test") for case in given[split] or {}}
    labeled, validation, test, unlabeled = (given[split] for split in ("labeled", "validation", "test", "unlabeled"))
    volumes = layout.volumes
    if labeled is None:
        free = [
            case
            for case, members in cases.items()
            if case not in elsewhere and any(volumes[name].training and volumes[name].label for name in members)
        ]
        order = shuffled(free, seed)
        labeled = {case: [name for name in cases[case] if volumes[name].training] for case in order}
        if validation is None:
            count = held_out(len(order))
            validation = {case: labeled.pop(case) for case in order[len(order) - count :]}
            _tell_validation(found, len(order), validation)
    elif validation is None:
        found.note("no validation", "splits.json names the labeled cases but no validation: none is held out")
    validation = validation or {}
    if test is None:
        named = {
            name for split in (labeled, validation, unlabeled or {}) for members in split.values() for name in members
        }
        scored = [
            name for name, volume in volumes.items() if not volume.training and volume.label and name not in named
        ]
        test = {}
        for name in scored:
            test.setdefault(case_of[name], []).append(name)
    if unlabeled is None:
        used = {name for members in labeled.values() for name in members}
        unlabeled = {}
        for name, volume in volumes.items():
            case = case_of[name]
            if volume.training and name not in used and case not in validation and case not in test:
                unlabeled.setdefault(case, []).append(name)
    return {"labeled": labeled, "unlabeled": unlabeled, "validation": validation, "test": test}


def _tell_validation(found: Partition, labeled: int, validation: Split) -> None:
    if validation:
        found.note(
            "validation",
            f"{len(validation)} of {labeled} labeled cases validate ({', '.join(list(validation)[:5])}); "
            "name them under 'validation' in splits.json to choose others",
        )
    elif labeled:
        found.note(
            "no validation", f"{labeled} labeled cases are too few to hold one out for validation: all of them train"
        )


def _require_labels(layout: Layout, found: Partition) -> None:
    """Drop volumes without a label map where one is needed; those of labeled cases become unlabeled."""
    for split in ("labeled", "validation", "test"):
        for case, members in list(found.splits[split].items()):
            with_label = [name for name in members if layout.volumes[name].label]
            if split == "labeled":
                for name in members:
                    if name not in with_label:
                        found.splits["unlabeled"].setdefault(case, []).append(name)
            if with_label:
                found.splits[split][case] = with_label
                continue
            del found.splits[split][case]
            image = layout.volumes[members[0]].image
            found.error(
                "no label",
                f"case {case!r} is in {split!r} of splits.json, but {image} has no label map: "
                "add it, or move the case to 'unlabeled'",
            )


def _forbid_overlap(path: Path, found: Partition) -> None:
    for first, second in combinations(SPLITS, 2):
        shared = [case for case in found.splits[first] if case in found.splits[second]]
        if (first, second) == ("labeled", "unlabeled"):  # one patient may train with one scan labeled and another not
            ours, theirs = found.splits[first], found.splits[second]
            shared = [case for case in shared if set(ours[case]) & set(theirs[case])]
        for case in shared:
            found.error(
                "two splits", f"case {case!r} is in both {first!r} and {second!r}: keep it in one of them in {path}"
            )


def _known(layout: Layout) -> str:
    return (
        f"no such volume in the dataset, which has {len(layout.volumes)} such as {next(iter(layout.volumes), None)!r}"
    )


def _no_labels(layout: Layout) -> str:
    images = [volume for volume in layout.volumes.values() if volume.training]
    example = f"{images[0].name}.nii.gz" if images else "<volume>.nii.gz"
    return (
        f"no labeled case to train with in {layout.root}: expected at least one label map named like its image, "
        f"for instance labelsTr/{example}"
    )
