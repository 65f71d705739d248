"""Gather what the runs noted, as two CSV files from which every table can be written again."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fewlabel.atomic import atomic_write
from fewlabel.comparison.runs.records import RunFolder, Stage
from fewlabel.comparison.runs.run import Run
from fewlabel.reports.tables import COLUMNS, METRICS, read_scores_csv

RUN_KEYS = ("dataset", "method", "labeled_cases", "seed", "split")
SCORE_COLUMNS = (*RUN_KEYS, *COLUMNS)
RUN_COLUMNS = (
    *RUN_KEYS, "status", "message", "minutes", "cpu_minutes", "attempts", "peak_memory_mib", "started", "ended",
    "commit", "fewlabel", "torch", "monai", "python", "processor", "cores", "gpus", "threads", "bundle", "overlays",
    "options", "labeled",
)  # fmt: skip
Row = dict[str, Any]


def collect(out: Path, runs: Sequence[Run], split: str) -> tuple[list[Row], list[Row]]:
    """Return a row for each run that has ended, and the rows of their scores.

    Args:
        out: the comparison's folder.
        runs: the runs.
        split: whose scores, "validation" or "test".
    """
    ended: list[Row] = []
    scores: list[Row] = []
    for run in runs:
        folder = RunFolder(out, run.key)
        identity = dict(zip(RUN_KEYS, (run.dataset, run.method, _labeled(run), str(run.seed), split), strict=True))
        row = _run_row(folder, run, split)
        if row is None:
            continue
        file = folder.scores(split)
        if row["status"] == "finished" and not file.is_file():
            row |= {"status": "failed", "message": f"no scores of the {split} cases: the dataset has none"}
        ended.append({**identity, **row})
        if row["status"] == "finished":
            scores += [{**identity, **score} for score in read_scores_csv(file)]
    return ended, scores


def rows_of_absent_runs(file: Path, columns: Sequence[str], out: Path, runs: Sequence[Run]) -> list[Row]:
    """Return the rows of a CSV file that belong to runs whose folders are not at hand, as text.

    Args:
        file: the CSV file of one split, which need not be there.
        columns: its columns.
        out: the comparison's folder.
        runs: the runs that may be in the file.

    Raises:
        ValueError: the file has other columns.
    """
    if not file.is_file():
        return []
    absent = {
        (run.dataset, run.method, _labeled(run), str(run.seed))
        for run in runs
        if not RunFolder(out, run.key).path.is_dir()
    }
    return [row for row in read_csv(file, columns, numbers=()) if tuple(row[key] for key in RUN_KEYS[:-1]) in absent]


def _labeled(run: Run) -> str:
    return "all" if run.labeled_cases is None else str(run.labeled_cases)


def _run_row(folder: RunFolder, run: Run, split: str) -> Row | None:
    stages: list[Stage] = ["train", "test"] if split == "test" else ["train"]
    results = [folder.read(stage) for stage in stages]
    trained = results[0]
    failed = next((result for result in results if result is not None and result["status"] == "failed"), None)
    if failed is None and None in results:
        return None
    shown = trained if failed is None else failed
    machine = shown.get("machine", {})
    return {
        "status": shown["status"],
        "message": shown["message"],
        **{
            key: shown.get(key) for key in ("minutes", "cpu_minutes", "attempts", "peak_memory_mib", "started", "ended")
        },
        "commit": shown.get("commit"),
        **{key: shown.get("versions", {}).get(key) for key in ("fewlabel", "torch", "monai", "python")},
        "processor": machine.get("processor"),
        "cores": machine.get("cores"),
        "gpus": ", ".join(machine.get("gpus", [])),
        "threads": shown.get("threads"),
        "bundle": run.bundle if os.sep not in run.bundle else Path(run.bundle).name,
        "overlays": " ".join(run.overlays),
        "options": json.dumps(dict(run.options)) if run.options else "",
        "labeled": " ".join(trained.get("labeled", [])),
    }


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write rows as CSV, None and nan as empty fields; the file appears whole."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow(["" if _is_missing(row[column]) else row[column] for column in columns])
    return atomic_write(path, text.getvalue().encode())


def read_csv(path: Path, columns: Sequence[str], numbers: Sequence[str] = METRICS) -> list[Row]:
    """Read what :func:`write_csv` wrote, an empty number as nan.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the header or a number is not as expected; names the file and the line.
    """
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != tuple(columns):
            raise ValueError(f"{path} must begin with the columns {','.join(columns)}; write it again from the runs")
        rows = []
        for row in reader:
            try:
                rows.append({**row, **{name: float(row[name]) if row[name] else math.nan for name in numbers}})
            except (TypeError, ValueError) as error:
                raise ValueError(f"{path}, line {reader.line_num}: {error}; correct or remove it") from error
    return rows


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
