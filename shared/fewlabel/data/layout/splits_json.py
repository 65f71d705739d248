"""Read `splits.json`: which cases a user or a paper put in which split, and which volumes make a case."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from fewlabel.data.checks.problems import Problem
from fewlabel.data.layout.dataset_json import read_object
from fewlabel.data.layout.folders import Layout
from fewlabel.listing import LONGEST_NAME, shown

SPLITS = ("labeled", "unlabeled", "validation", "test")
Split = dict[str, list[str]]  # volumes by case, in order


@dataclass
class SplitsFile:
    """What `splits.json` says, as far as it is right.

    Args:
        splits: the volumes by case of each split that the file gives, in its order.
        cases: the volumes of every case; what the file does not group is a case of its own.
        problems: everything wrong with the file.

    """

    splits: dict[str, Split] = field(default_factory=dict)
    cases: Split = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    @property
    def case_of(self) -> dict[str, str]:
        """The case of every volume."""
        return {volume: case for case, volumes in self.cases.items() for volume in volumes}

    def error(self, kind: str, message: str) -> None:
        """Note an error."""
        self.problems.append(Problem("error", kind, message))


def read_splits(layout: Layout) -> SplitsFile:
    """Read a dataset's `splits.json`; without the file, every volume is a case and no split is given.

    The file holds any of the keys "labeled", "unlabeled", "validation" and "test", each a list of cases or volumes, and
    "cases": the list of volumes of each case that has several, such as the frames of a patient.

    Args:
        layout: the files of the dataset.

    """
    found = SplitsFile()
    content = _content(layout, found)
    found.cases = _cases(layout, content.pop("cases", {}), found)
    found.splits = {split: _resolve(layout, split, names, found) for split, names in content.items()}
    return found


def _content(layout: Layout, found: SplitsFile) -> dict[str, Any]:
    """The known keys, each of the right type."""
    path = layout.root / "splits.json"
    if not os.path.lexists(path):
        return {}
    try:
        content = read_object(path)
    except (ValueError, OSError) as error:
        found.error("splits.json", str(error))
        return {}
    expected = f"expected {', '.join(SPLITS)} (lists of names) and cases (lists of volumes by case)"
    good: dict[str, Any] = {}
    for key, value in content.items():
        if key not in (*SPLITS, "cases"):
            found.error("splits.json", f"{path} has the key {shown(key)}; {expected}")
        elif _is_groups(value) if key == "cases" else _is_names(value):
            good[key] = value
        else:
            found.error("splits.json", f"{path} has {shown(value)} as {key!r}; {expected}")
    return good


def _is_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _is_groups(value: object) -> bool:
    return isinstance(value, dict) and all(_is_names(volumes) and volumes for volumes in value.values())


def _cases(layout: Layout, groups: dict[str, list[str]], found: SplitsFile) -> Split:
    """Every volume of the dataset under its case."""
    path = layout.root / "splits.json"
    case_of: dict[str, str] = {}
    for case, volumes in groups.items():
        if len(case) > LONGEST_NAME:
            message = f"{path} has a case {shown(case)} of {len(case)} characters: shorten it to at most {LONGEST_NAME}"
            found.error("splits.json", message)
            continue
        for name in volumes:
            if name not in layout.volumes:
                known = f"which has {len(layout.volumes)} such as {next(iter(layout.volumes), None)!r}"
                message = (
                    f"{path} has the volume {shown(name)} in case {shown(case)}: no such volume in the dataset, {known}"
                )
                found.error("unknown name", message)
            elif name in case_of:
                both = f"{shown(case_of[name])} and {shown(case)}"
                found.error("two cases", f"{path} has the volume {name!r} in the cases {both}: keep it in one")
            else:
                case_of[name] = case
        if case in layout.volumes and case not in volumes:
            message = f"{path} has a case {case!r} that is also the name of a volume outside it: rename the case"
            found.error("splits.json", message)
    cases: Split = {}
    for name in layout.volumes:
        cases.setdefault(case_of.get(name, name), []).append(name)
    return cases


def _resolve(layout: Layout, split: str, names: list[str], found: SplitsFile) -> Split:
    """Names of cases and volumes as volumes by case."""
    path, case_of = layout.root / "splits.json", found.case_of
    resolved: Split = {}
    for name in names:
        case = name if name in found.cases else case_of.get(name)
        if case is None:
            known = f"which has {len(found.cases)} cases such as {next(iter(found.cases), None)!r}"
            message = f"{path} names {shown(name)} in {split!r}: no such case or volume in the dataset, {known}"
            found.error("unknown name", message)
            continue
        known_volumes = resolved.setdefault(case, [])
        new = [volume for volume in found.cases.get(name, [name]) if volume not in known_volumes]
        if not new:
            found.error("named twice", f"{path} names {shown(name)} twice in {split!r}: remove one")
        known_volumes.extend(new)
    return resolved
