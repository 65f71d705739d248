"""What a comparison has to say, as headings, sentences and tables that Markdown and HTML show alike."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from fewlabel.comparison.tables.published import published_figures
from fewlabel.comparison.tables.summary import Line, Scores, summarize_runs

Row = Mapping[str, Any]
MISSING = "–"
_UNITS = {"strict": "mm", "published": "voxels"}


@dataclass(frozen=True)
class Section:
    """A heading, what to know, and a table.

    Args:
        title: of the section.
        level: of its heading, 2 or 3.
        note: a paragraph; may be empty.
        header: of the table; empty without one.
        rows: of the table.
    """

    title: str
    level: int
    note: str = ""
    header: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


def make_sections(
    runs: Sequence[Row],
    scores: Sequence[Row],
    baseline: str,
    split: str,
    doubles: Mapping[str, Set[str]] | None = None,
) -> list[Section]:
    """Return all sections of a comparison.

    Args:
        runs: rows of runs.
        scores: rows of their scores.
        baseline: the method that the others are compared with.
        split: whose cases were scored.
        doubles: of each dataset, the scored patients who are in the training data too; their tables come twice then,
            with all patients and without these.
    """
    lines = summarize_runs(runs, scores, baseline)
    sections = []
    for dataset in dict.fromkeys(line.dataset for line in lines):
        own = [line for line in lines if line.dataset == dataset]
        sections += _dataset(dataset, own, baseline, split)
        dropped = set((doubles or {}).get(dataset, ()))
        if dropped:
            kept = [row for row in scores if row["dataset"] == dataset and row["case"] not in dropped]
            mine = [row for row in runs if row["dataset"] == dataset]
            without = summarize_runs(mine, kept, baseline)
            names = ", ".join(sorted(dropped))
            sections.append(_strict(without, baseline, f"Without doubles: strict protocol, {split} cases",
                                    f"The same runs without {names}, who are in the training data too."))  # fmt: skip
        elif doubles is not None:
            sections.append(Section(f"Without doubles: {split} cases", 3, "No scored patient has a double among the "
                                    "training scans, so that the tables above are those without doubles."))  # fmt: skip
        sections += _papers(dataset, own)
    return [*sections, *_failures(lines), *_runs(runs)]


def _dataset(dataset: str, lines: Sequence[Line], baseline: str, split: str) -> list[Section]:
    patients = max(line.patients for line in lines)
    note = (
        f"{patients} patients of the {split} split. Dice is the mean over classes, then volumes, then seeds, ± its "
        f"standard deviation over volumes; “over {baseline}” is the mean difference in Dice for the same seeds and "
        "patients, with the interval that holds 95 % of 10,000 bootstrap draws of both (with one seed, of patients "
        "alone). The last checkpoint comes first; best is the best on validation"
        + (", which on this split is chosen with the scores it gets." if split == "validation" else ".")
    )
    by_seed = [line for line in lines if len(line.seeds) > 1]
    parts = [Section(dataset, 2, note), _strict(lines, baseline, f"Strict protocol, {split} cases"),
             _published(lines, split)]  # fmt: skip
    if by_seed:
        seeds = sorted({seed for line in by_seed for seed in line.seeds}, key=int)
        rows = [
            [line.labeled_cases, line.method,
             *(_number(_of(line, "last").by_seed.get(seed, math.nan), 3) for seed in seeds),
             _number(_of(line, "last").spread, 3)]
            for line in by_seed
        ]  # fmt: skip
        title = f"Dice of each seed, last checkpoint, {split} cases"
        parts.append(
            Section(title, 3, "", ["labeled", "method", *(f"seed {seed}" for seed in seeds), "deviation"], rows)
        )
    return parts


def _strict(lines: Sequence[Line], baseline: str, title: str, note: str = "") -> Section:
    header = ["labeled", "method", "seeds", "Dice, last", f"over {baseline}, last", "HD95 (mm), last", "Dice, best",
              f"over {baseline}, best", "HD95 (mm), best", "minutes (of CPU)", "memory (GiB)"]  # fmt: skip
    rows = []
    for line in lines:
        cells = [line.labeled_cases, line.method, _seeds(line)]
        for checkpoint in ("last", "best"):
            scores = _of(line, checkpoint)
            cells += [_dice(scores), lift(scores), _number(scores.hd95, 1)]
        rows.append([*cells, _minutes(line), _number(line.memory_mib / 1024, 1)])
    return Section(title, 3, note, header, rows)


def _published(lines: Sequence[Line], split: str) -> Section:
    header = ["labeled", "method", "Dice, last", "HD95 (voxels), last", "Dice, best", "HD95 (voxels), best"]
    rows = []
    for line in lines:
        cells = [line.labeled_cases, line.method]
        for checkpoint in ("last", "best"):
            scores = _of(line, checkpoint, "published")
            cells += [_dice(scores), _number(scores.hd95, 1)]
        rows.append(cells)
    note = "Distances in voxels, and all scores 0 where a mask is empty, as the papers have it."
    return Section(f"Published protocol, {split} cases", 3, note, header, rows)


def _papers(dataset: str, lines: Sequence[Line]) -> list[Section]:
    labeled = {line.labeled_cases for line in lines}
    figures = published_figures(dataset, labeled, dict.fromkeys(line.method for line in lines))
    if not figures:
        return []
    header = ["labeled", "method", "Dice, paper's", "HD95, paper's", "checkpoint that was scored", "source"]
    rows = [
        [each.labeled_cases, each.method, f"{each.dice / 100:.3f}", _number(each.hd95 or math.nan, 1), each.checkpoint,
         each.source]
        for each in figures
    ]  # fmt: skip
    note = "Figures of papers, on test cases, with their schedules; not measured here. How the checkpoint was chosen "
    return [Section("The papers' figures", 3, note + "decides how far they can be compared.", header, rows)]


def _failures(lines: Sequence[Line]) -> list[Section]:
    rows = [
        [line.dataset, line.labeled_cases, line.method, seed, message]
        for line in lines
        for seed, message in line.failures.items()
    ]
    if not rows:
        return []
    return [Section("Runs that failed", 2, "", ["dataset", "labeled", "method", "seed", "message"], rows)]


def _runs(runs: Sequence[Row]) -> list[Section]:
    header = ["what", "of these runs"]
    about = [
        ("ended", _span(str(row["ended"] or "")[:10] for row in runs)),
        *((name, _distinct(row[name] for row in runs)) for name in
          ("commit", "fewlabel", "torch", "monai", "python", "processor", "cores", "gpus", "threads", "overlays")),
    ]  # fmt: skip
    options = [f"{methods}: {typed}" for typed, methods in _by_options(runs).items()]
    labeled = [f"{row['dataset']}, {row['labeled_cases']} labeled: {row['labeled']}" for row in runs
               if row["labeled"] and row["labeled_cases"] != "all"]  # fmt: skip
    rows = [[name, value] for name, value in [*about, ("options", _distinct(options)),
            ("labeled cases", _distinct(labeled))] if value]  # fmt: skip
    return [
        Section(
            "The runs", 2, "What each run was made with is in runs.csv, and its config in its folder.", header, rows
        )
    ]


def _by_options(runs: Sequence[Row]) -> dict[str, str]:
    """Return the names of the methods that were run with each set of options."""
    methods: dict[str, dict[str, None]] = {}
    for row in runs:
        if row["options"]:
            methods.setdefault(row["options"], {})[row["method"]] = None
    return {options: ", ".join(names) for options, names in methods.items()}


def _span(dates: Any) -> str:
    known = sorted({date for date in dates if date})
    return f"{known[0]} to {known[-1]}" if len(known) > 1 else "".join(known)


def _distinct(values: Any) -> str:
    return "; ".join(dict.fromkeys(str(value) for value in values if value not in (None, "")))


_NOTHING = Scores(math.nan, math.nan, math.nan, {})


def _of(line: Line, checkpoint: str, protocol: str = "strict") -> Scores:
    return line.scores.get((checkpoint, protocol), _NOTHING)


def _minutes(line: Line) -> str:
    of_cpu = "" if math.isnan(line.cpu_minutes) else f" ({line.cpu_minutes:.1f})"
    return _number(line.minutes, 1) + of_cpu


def _seeds(line: Line) -> str:
    failed = f", {len(line.failures)} failed" if line.failures else ""
    return f"{len(line.seeds)}{failed}"


def _dice(scores: Scores) -> str:
    if math.isnan(scores.dice):
        return MISSING
    return f"{scores.dice:.3f}" + ("" if math.isnan(scores.deviation) else f" ± {scores.deviation:.3f}")


def lift(scores: Scores) -> str:
    """Return the difference to the baseline with its interval."""
    if math.isnan(scores.lift):
        return MISSING
    low, high = scores.interval
    return f"{scores.lift:+.3f}" + ("" if math.isnan(low) else f" [{low:+.3f}, {high:+.3f}]")


def _number(value: float, digits: int) -> str:
    return MISSING if math.isnan(value) else f"{value:.{digits}f}"
