"""What `fewlabel check` found, as a table that a terminal shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fewlabel.data.checks.problems import Problem
from fewlabel.data.layout.splits_json import SPLITS

_COLUMNS = ("split", "case", "volume", "shape", "spacing (mm)", "orientation", "slices", "labels", "problems")


@dataclass(frozen=True)
class Row:
    """One volume of a dataset.

    Args:
        split: one of `SPLITS`.
        case: the patient, or the volume itself.
        volume: its name.
        shape: voxels along each axis; None when the header is unreadable.
        spacing: millimeters between voxels; None when the header is unreadable.
        orientation: where the axes lead to, as "LPS"; None when the header is unreadable.
        plane: the slices that it is cut into, "axial", say; None when the header is unreadable.
        values: the label values present; None without a readable label map, or when it may not be read.
        problems: errors and warnings of this volume.

    """

    split: str
    case: str
    volume: str
    shape: tuple[int, int, int] | None
    spacing: tuple[float, float, float] | None
    orientation: str | None
    plane: str | None
    values: tuple[float, ...] | None
    problems: tuple[Problem, ...]

    def cells(self) -> tuple[str, ...]:
        """The row as text, a cell for each column."""
        shape = "x".join(map(str, self.shape)) if self.shape else "?"
        spacing = "x".join(f"{length:.2f}" for length in self.spacing) if self.spacing else "?"
        values = "-" if self.values is None else " ".join(f"{value:g}" for value in self.values[:10])
        more = " ..." if self.values is not None and len(self.values) > 10 else ""
        kinds = ", ".join(dict.fromkeys(problem.kind for problem in self.problems))
        stored = (self.orientation or "?", self.plane or "?")
        return self.split, self.case, self.volume, shape, spacing, *stored, values + more, kinds


@dataclass(frozen=True)
class CheckReport:
    """Everything found in a dataset: a row per volume, and the problems with their fixes.

    Args:
        root: the dataset's folder.
        labels: label names by value.
        rows: one per volume, by split.
        problems: of the dataset and of all volumes.
        channels: their names.
        ignored: the label value of voxels that nobody annotated; None if there is none.

    """

    root: Path
    labels: dict[int, str] = field(default_factory=dict)
    rows: tuple[Row, ...] = ()
    problems: tuple[Problem, ...] = ()
    channels: tuple[str, ...] = ()
    ignored: int | None = None

    @property
    def ok(self) -> bool:
        """No errors; warnings and notes may remain."""
        return not self.by_severity("error")

    def by_severity(self, severity: str) -> list[Problem]:
        """The problems of one severity, in the order found."""
        return [problem for problem in self.problems if problem.severity == severity]

    def __str__(self) -> str:
        names = ", ".join(f"{value} {name}" for value, name in self.labels.items()) or "unknown"
        names += "" if self.ignored is None else f"; {self.ignored} is ignored"
        if len(self.channels) > 1:
            names += f"\nchannels: {', '.join(self.channels)}"
        parts = [
            f"{self.root}\nlabels: {names}",
            _table([_COLUMNS, *(row.cells() for row in self.rows)]),
            self._counts(),
        ]
        for severity in ("error", "warning", "note"):
            problems = self.by_severity(severity)
            if problems:
                lines = (f"  {number}. {problem.message}" for number, problem in enumerate(problems, 1))
                parts.append("\n".join([f"{severity}s:", *lines]))
        return "\n\n".join([*parts, self._verdict()])

    def _counts(self) -> str:
        rows = {split: [row for row in self.rows if row.split == split] for split in SPLITS}
        return ", ".join(
            f"{split}: {_plural(len({row.case for row in found}), 'case')} ({_plural(len(found), 'volume')})"
            for split, found in rows.items()
        )

    def _verdict(self) -> str:
        errors, warnings = len(self.by_severity("error")), len(self.by_severity("warning"))
        found = f"{_plural(errors, 'error')}, {_plural(warnings, 'warning')}"
        return f"{found}: ready to train" if self.ok else f"{found}: correct the errors before training"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
