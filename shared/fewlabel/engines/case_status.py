"""What became of the cases of a run, for a person to read."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class CaseStatus:
    """What became of one case.

    Args:
        name: the case.
        state: segmented now, finished before, or failed.
        seconds: that it took, all in all.
        in_network: seconds of these from the loaded image to the label map; the others are reading and writing.
        cause: why it failed, and what to do.
    """

    name: str
    state: Literal["done", "skipped", "failed"]
    seconds: float = 0.0
    in_network: float = 0.0
    cause: str = ""

    def __str__(self) -> str:
        if self.state == "done":
            return f"{self.name}: segmented in {self.seconds:.1f} s"
        return f"{self.name}: finished before" if self.state == "skipped" else f"{self.name}: failed, {self.cause}"


def format_summary(outcomes: Sequence[CaseStatus], total: int, output_dir: Path) -> str:
    """Return a table of how many cases are done, skipped, failed and left, and the cause of each failure.

    >>> print(format_summary([CaseStatus("a", "done", 2.0, 1.5), CaseStatus("b", "skipped")], 3, Path("out")))
    done       1  2.0 s each, 0.5 s of it reading and writing
    skipped    1  finished before
    failed     0
    left       1  the run was stopped; the same command goes on from here
    results: out
    """
    by_state = {state: [one for one in outcomes if one.state == state] for state in ("done", "skipped", "failed")}
    done, skipped, failed = by_state.values()
    each = ""
    if done:
        seconds = statistics.median(one.seconds for one in done)
        files = statistics.median(one.seconds - one.in_network for one in done)
        each = f"  {seconds:.1f} s each, {files:.1f} s of it reading and writing"
    lines = [f"done    {len(done):4}{each}"]
    lines.append(f"skipped {len(skipped):4}" + ("  finished before" if skipped else ""))
    lines.append(f"failed  {len(failed):4}")
    lines += [f"  {one.name}: {one.cause}" for one in failed]
    if left := total - len(outcomes):
        lines.append(f"left    {left:4}  the run was stopped; the same command goes on from here")
    return "\n".join([*lines, f"results: {output_dir}"])
