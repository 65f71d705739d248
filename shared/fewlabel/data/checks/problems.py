"""What is wrong with a dataset: found by several modules, raised by `Cohort`, printed by `fewlabel check`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fewlabel.listing import shortened


@dataclass(frozen=True)
class Problem:
    """One finding about a dataset.

    Args:
        severity: an "error" stops training, a "warning" probably should, a "note" tells what was decided.
        kind: two or three words for the report's table.
        message: the file or name, what was expected, and the fix; kept without its middle if it is very long.
        volume: the volume it concerns; empty for the dataset as a whole.

    """

    severity: Literal["error", "warning", "note"]
    kind: str
    message: str
    volume: str = ""

    def __post_init__(self) -> None:
        """Shorten a message that quotes a name without end."""
        object.__setattr__(self, "message", shortened(self.message))


def raise_errors(root: Path, problems: Sequence[Problem]) -> None:
    """Raise the first error among the problems and say how many more there are.

    Raises:
        ValueError: when a problem has the severity "error".

    """
    errors = [problem.message for problem in problems if problem.severity == "error"]
    if errors:
        more = f" ({len(errors) - 1} more: `fewlabel check {root}` lists them all)" if len(errors) > 1 else ""
        raise ValueError(errors[0] + more)
