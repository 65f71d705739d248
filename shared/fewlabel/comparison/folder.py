"""The folder of a comparison: what it is about, and the tables that are written there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fewlabel.atomic import atomic_write
from fewlabel.comparison.runs.records import RUNS
from fewlabel.comparison.runs.run import Run
from fewlabel.comparison.tables.collect import (
    RUN_COLUMNS,
    SCORE_COLUMNS,
    collect,
    read_csv,
    rows_of_absent_runs,
    write_csv,
)
from fewlabel.comparison.tables.markdown import to_markdown
from fewlabel.comparison.tables.page import to_html
from fewlabel.comparison.tables.picture import lift_picture, svg
from fewlabel.comparison.tables.sections import make_sections
from fewlabel.comparison.tables.summary import summarize_runs
from fewlabel.reports.drawing import png

_NAME = "comparison.json"
_BASELINES = ("supervised", "vnet")


@dataclass(frozen=True)
class Comparison:
    """What a comparison is about.

    Args:
        out: its folder.
        runs: all of its runs.
        baseline: the method that the others are compared with.
        command: what was typed.
        doubles: of each dataset, the scored patients who are in the training data too; None where nobody looked.
    """

    out: Path
    runs: Sequence[Run] = ()
    baseline: str = ""
    command: str = ""
    doubles: Mapping[str, Set[str]] | None = None

    def save(self) -> None:
        """Write ``comparison.json``."""
        content = {"command": self.command, "baseline": self.baseline, "runs": [run.as_dict() for run in self.runs]}
        atomic_write(self.out / _NAME, (json.dumps(content, indent=2) + "\n").encode())

    def write_tables(self, split: str) -> Path:
        """Write CSV files, Markdown, HTML and the picture of what has ended so far; return the Markdown file.

        Of runs whose folders are not at hand, what the CSV files hold is kept.

        Raises:
            FileNotFoundError: there are neither runs nor CSV files.
            ValueError: a file is damaged.
        """
        suffix = "" if split == "validation" else f"_{split}"
        files = {name: self.out / f"{name}{suffix}.csv" for name in ("runs", "scores")}
        if (self.out / RUNS).is_dir():
            ended, scored = collect(self.out, self.runs, split)
            earlier = {
                name: rows_of_absent_runs(files[name], columns, self.out, self.runs)
                for name, columns in (("runs", RUN_COLUMNS), ("scores", SCORE_COLUMNS))
            }
            write_csv(files["scores"], SCORE_COLUMNS, [*earlier["scores"], *scored])
            write_csv(files["runs"], RUN_COLUMNS, [*earlier["runs"], *ended])
        elif not all(file.is_file() for file in files.values()):
            raise FileNotFoundError(
                f"{self.out} has neither a folder {RUNS} nor {' and '.join(file.name for file in files.values())}; "
                "name the folder of a comparison with --out"
            )
        runs = read_csv(files["runs"], RUN_COLUMNS, ("minutes", "cpu_minutes", "peak_memory_mib"))
        scores = read_csv(files["scores"], SCORE_COLUMNS)
        baseline = self.baseline or choose_baseline([row["method"] for row in runs])
        title = f"Comparison, {split} cases"
        sections = make_sections(runs, scores, baseline, split, self.doubles)
        figure = lift_picture(summarize_runs(runs, scores, baseline), baseline, split)
        image = None
        if figure is not None:
            image = png(figure)
            atomic_write(self.out / f"lift{suffix}.png", image)
            atomic_write(self.out / f"lift{suffix}.svg", svg(figure))
        command = self.command or f"fewlabel compare --out {self.out} --report_only true"
        atomic_write(self.out / f"compare{suffix}.html", to_html(title, command, sections, image).encode())
        name = None if image is None else f"lift{suffix}.png"
        return atomic_write(self.out / f"compare{suffix}.md", to_markdown(title, command, sections, name).encode())


def read_comparison(out: Path) -> Comparison:
    """Return the comparison of a folder, an empty one where there is none yet.

    Raises:
        ValueError: its file is damaged.
    """
    file = out / _NAME
    if not file.is_file():
        return Comparison(out)
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        runs = [Run.from_dict(run) for run in content["runs"]]
        return Comparison(out, runs, content["baseline"], content["command"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file}: not what `fewlabel compare` wrote ({error}); remove it and compare again") from error


def choose_baseline(methods: Sequence[str], wanted: str | None = None) -> str:
    """Return the method that others are compared with: the one asked for, `supervised`, `vnet`, or the first.

    Raises:
        ValueError: the one asked for is not among the methods.
    """
    if wanted is not None and wanted not in methods:
        raise ValueError(f"--baseline {wanted}: no such row; there are {', '.join(dict.fromkeys(methods))}")
    return wanted or next((name for name in (*_BASELINES, *methods) if name in methods), "")
