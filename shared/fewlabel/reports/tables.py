"""Tables of scores: one row per checkpoint, volume, class and protocol, and their summary."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fewlabel.atomic import atomic_write

Row = Mapping[str, Any]

KEYS = ("checkpoint", "case", "volume", "class", "protocol")
METRICS = ("dice", "jaccard", "hd95", "asd")
COLUMNS = KEYS + METRICS
UNITS = {"strict": "mm", "published": "voxels"}
MEAN = "mean"


def write_scores_csv(rows: Iterable[Row], path: str | os.PathLike[str]) -> Path:
    """Write rows of scores as CSV, nan as an empty field; the file appears whole.

    Args:
        rows: dicts with the keys ``checkpoint, case, volume, class, protocol, dice, jaccard, hd95, asd``.
        path: the file to write.

    Returns:
        The path.

    Raises:
        ValueError: if a row has other keys.

    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        if set(row) != set(COLUMNS):
            raise ValueError(f"A row of scores must have the keys {list(COLUMNS)}, this one has {list(row)}.")
        numbers = [float(row[metric]) for metric in METRICS]
        writer.writerow([row[key] for key in KEYS] + ["" if math.isnan(x) else repr(x) for x in numbers])
    return atomic_write(path, text.getvalue().encode())


def read_scores_csv(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Read what :func:`write_scores_csv` wrote; an empty score is nan.

    Args:
        path: the CSV file.

    Returns:
        One dict per row, scores as floats, everything else as text.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the header or a number is not as expected; names the file and the line.

    """
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        header = next(reader, [])
        if tuple(header) != COLUMNS:
            raise ValueError(f"{os.fspath(path)} must begin with the columns {','.join(COLUMNS)}, got {header}.")
        rows = []
        for fields in reader:
            try:
                numbers = [float(field) if field else math.nan for field in fields[len(KEYS) :]]
                rows.append(dict(zip(COLUMNS, [*fields[: len(KEYS)], *numbers], strict=True)))
            except ValueError as error:
                raise ValueError(
                    f"{os.fspath(path)}, line {reader.line_num}: expected {len(KEYS)} names and {len(METRICS)} numbers "
                    f"or empty fields, got {fields}."
                ) from error
    return rows


def summarize(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Mean and standard deviation over volumes, per checkpoint, protocol and class, and over the classes.

    A score that is nan is left out of the mean and counted. The last row of each checkpoint and protocol has the class
    ``"mean"``: the classes of each volume are averaged first (those with a score), then the volumes, so its standard
    deviation is between volumes. The standard deviation divides by n - 1 and is nan for a single volume.

    Args:
        rows: dicts as in :func:`write_scores_csv`.

    Returns:
        Dicts ``{"checkpoint", "protocol", "class", "cases", "volumes"}`` with ``<metric>_mean``, ``<metric>_std`` and
        ``<metric>_left_out`` for each metric, in the order in which checkpoints, protocols and classes first occur.
        In the row ``"mean"``, ``<metric>_left_out`` counts pairs of volume and class.

    Raises:
        ValueError: if a volume has two rows for the same checkpoint, protocol and class.

    Example:
        >>> row = {"checkpoint": "last", "case": "p1", "class": "heart", "protocol": "strict", "jaccard": 0.5}
        >>> row |= {"hd95": math.nan, "asd": 1.0}
        >>> table = summarize([row | {"volume": "a", "dice": 0.5}, row | {"volume": "b", "dice": 0.7}])
        >>> [(line["class"], round(line["dice_mean"], 3), line["hd95_left_out"]) for line in table]
        [('heart', 0.6, 2), ('mean', 0.6, 2)]

    """
    groups: dict[tuple[str, str], dict[tuple[str, str], Row]] = {}
    for row in rows:
        group = groups.setdefault((row["checkpoint"], row["protocol"]), {})
        key = (row["class"], row["volume"])
        if key in group:
            raise ValueError(
                f"Volume {row['volume']!r} has two rows for class {row['class']!r}, checkpoint {row['checkpoint']!r} "
                f"and protocol {row['protocol']!r}: volume names must be unique, and each is scored once."
            )
        group[key] = row
    return [line for group in groups.values() for line in _summarize_group(list(group.values()))]


def format_table(summary: Sequence[Row], split: str = "") -> str:
    """Text for a terminal: one aligned block per checkpoint and protocol, each ending with the mean over classes.

    Args:
        summary: what :func:`summarize` returned.
        split: what the scored cases are, such as "test", for the headings.

    Returns:
        Lines without a trailing newline; mean ± standard deviation, ``-`` where there is no number.

    """
    blocks: dict[tuple[str, str], list[Row]] = {}
    for line in summary:
        blocks.setdefault((line["checkpoint"], line["protocol"]), []).append(line)
    return "\n\n".join(_format_block(block, split) for block in blocks.values())


def format_score(line: Row, metric: str, missing: str = "-") -> str:
    """Mean ± standard deviation of one metric: three decimals for Dice and Jaccard, two for distances.

    Args:
        line: one row of a summary.
        metric: ``"dice"``, ``"jaccard"``, ``"hd95"`` or ``"asd"``.
        missing: text where no volume has a score.

    Returns:
        For instance ``"0.861 ± 0.043"``, or ``"0.861"`` alone when there is one volume.

    """
    digits = 3 if metric in ("dice", "jaccard") else 2
    mean = line[f"{metric}_mean"]
    deviation = line[f"{metric}_std"]
    if math.isnan(mean):
        return missing
    return f"{mean:.{digits}f}" + ("" if math.isnan(deviation) else f" ± {deviation:.{digits}f}")


def count(number: int, noun: str) -> str:
    """A number with its noun, plural where needed.

    Args:
        number: how many.
        noun: the singular, of a noun whose plural adds an s.

    Returns:
        For instance ``"1 volume"`` or ``"2 volumes"``.

    """
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _summarize_group(rows: list[Row]) -> list[dict[str, Any]]:
    by_class: dict[str, list[Row]] = {}
    by_volume: dict[str, list[Row]] = {}
    for row in rows:
        by_class.setdefault(row["class"], []).append(row)
        by_volume.setdefault(row["volume"], []).append(row)
    lines = [_line(members, name, [[row] for row in members]) for name, members in by_class.items()]
    return [*lines, _line(rows, MEAN, list(by_volume.values()))]


def _line(rows: list[Row], name: str, volumes: list[list[Row]]) -> dict[str, Any]:
    line = {
        "checkpoint": rows[0]["checkpoint"],
        "protocol": rows[0]["protocol"],
        "class": name,
        "cases": len({row["case"] for row in rows}),
        "volumes": len(volumes),
    }
    for metric in METRICS:
        per_volume = [_finite(row[metric] for row in members) for members in volumes]
        means = [np.mean(values) for values in per_volume if values]
        line[f"{metric}_mean"] = float(np.mean(means)) if means else math.nan
        line[f"{metric}_std"] = float(np.std(means, ddof=1)) if len(means) > 1 else math.nan
        line[f"{metric}_left_out"] = len(rows) - sum(map(len, per_volume))
    return line


def _finite(values: Iterable[float]) -> list[float]:
    return [value for value in values if not math.isnan(value)]


def sample_size(line: Row, split: str) -> str:
    """How many volumes of how many cases stand behind a row of a summary, and of which split.

    >>> sample_size({"volumes": 2, "cases": 1}, "test"), sample_size({"volumes": 1, "cases": 1}, "")
    ('2 volumes of 1 case of the test split', '1 volume of 1 case')
    """
    size = f"{count(line['volumes'], 'volume')} of {count(line['cases'], 'case')}"
    return f"{size} of the {split} split" if split else size


def _format_block(lines: Sequence[Row], split: str) -> str:
    first = lines[-1]
    unit = UNITS.get(lines[0]["protocol"], "?")
    title = (
        f"{first['checkpoint']} checkpoint, {first['protocol']} protocol: "
        f"{sample_size(first, split)}, mean ± standard deviation"
    )
    header = ["class", "Dice", "Jaccard", f"HD95 ({unit})", f"ASD ({unit})", "left out: Dice", "HD95"]
    cells = [
        [str(line["class"])]
        + [format_score(line, metric) for metric in METRICS]
        + [str(line["dice_left_out"]), str(line["hd95_left_out"])]
        for line in lines
    ]
    widths = [max(len(row[i]) for row in [header, *cells]) for i in range(len(header))]

    def align(row: list[str]) -> str:
        numbers = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        return "  ".join([row[0].ljust(widths[0]), *numbers])

    rule = "-" * len(align(header))
    return "\n".join([title, align(header), rule, *map(align, cells[:-1]), rule, align(cells[-1])])
