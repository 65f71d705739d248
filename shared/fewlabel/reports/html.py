"""The report of a run: one HTML file with settings, tables, curves, box plots and cases."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from fewlabel.atomic import atomic_write
from fewlabel.reports.case_pictures import CaseView, case_figure, case_title
from fewlabel.reports.drawing import class_colors, png
from fewlabel.reports.page import definitions, page, picture, table
from fewlabel.reports.plots import box_plots, training_curves
from fewlabel.reports.tables import MEAN, METRICS, UNITS, Row, count, format_score, sample_size, summarize

_PROTOCOLS = {
    "strict": "Distances in millimeters. A structure missing on one side only scores Dice 0 and has no distance; one "
    "that is absent from both is left out.",
    "published": "For comparison with the tables of the papers: distances in voxels, and every score is 0 where a mask "
    "is empty, which flatters the distances.",
}


def write_report(
    path: str | os.PathLike[str],
    *,
    title: str,
    rows: Sequence[Row],
    history: Sequence[Mapping[str, Any]],
    cases: Sequence[CaseView],
    settings: Mapping[str, object],
    sources: Mapping[str, object],
    notes: Sequence[str] = (),
    split: str = "",
) -> Path:
    """Write one self-contained HTML file about a run: it requests nothing, and appears whole.

    What was not recorded is said in its place: a report without history, cases or scores is a valid report.

    Args:
        path: the HTML file to write.
        title: heading of the report.
        rows: scores of every checkpoint, volume, class and protocol, see :func:`fewlabel.reports.write_scores_csv`.
        history: one dict per epoch: ``{"epoch", "step", "seconds", "terms": {name: number}, "weights": {name: number},
            "validation": {"mean_dice": number, "dice_<class>": number}}``; ``"validation"`` where there was one.
        cases: volumes to show, usually the worst, the median and the best.
        settings: what the run was, in the order to show: bundle, version, scans labeled and unlabeled, seed, date.
        split: what the scored cases are, such as "test"; said wherever there is a score.
        sources: where the numbers come from, by name: files, commands.
        notes: what a reader has to know before the numbers, a paragraph each.

    Returns:
        The path.

    Raises:
        ValueError: if two rows score the same volume, class, checkpoint and protocol.

    """
    summary = summarize(rows)
    parts = [
        f"<header><h1>{escape(title)}</h1>{definitions(settings)}</header>",
        *(f"<p><b>{escape(note)}</b></p>" for note in notes),
        _headline(summary, split),
        *_scores_section(summary, split),
        *_spread_section(rows),
        *_cases_section(cases),
        *_training_section(history),
        *_volumes_section(rows),
    ]
    if sources:
        parts += ["<h2>Sources</h2>", definitions(sources, "wide")]
    return atomic_write(path, page(title, parts).encode())


def _headline(summary: Sequence[Row], split: str) -> str:
    cards = []
    for line in summary:
        if line["class"] == MEAN and line["protocol"] == "strict":
            for metric, name in (("dice", "mean Dice"), ("hd95", "mean HD95, mm")):
                value = format_score(line, metric, missing="–").split(" ± ")[0]
                about = escape(f"{name}, {line['checkpoint']} checkpoint" + (f", {split} split" if split else ""))
                cards.append(f'<div class="card"><b>{value}</b><span>{about}</span></div>')
    return f'<div class="cards">{"".join(cards)}</div>' if cards else ""


def _scores_section(summary: Sequence[Row], split: str) -> list[str]:
    parts = ["<h2>Scores</h2>"]
    if not summary:
        return [*parts, '<p class="note">No scores were given.</p>']
    parts.append(
        '<p class="note">Mean ± standard deviation over volumes. In the last row of a table the classes of each volume '
        "are averaged first, then the volumes. “Left out” counts scores that do not exist, for Dice and for HD95; in "
        "the last row it counts pairs of volume and class.</p>"
    )
    groups: dict[tuple[str, str], list[Row]] = {}
    for line in summary:
        groups.setdefault((line["protocol"], line["checkpoint"]), []).append(line)
    explained: set[str] = set()
    for (protocol, checkpoint), lines in sorted(groups.items(), key=lambda group: group[0][0] != "strict"):
        size = sample_size(lines[-1], split)
        parts.append(f"<h3>{escape(checkpoint.capitalize())} checkpoint, {escape(protocol)} protocol ({size})</h3>")
        if protocol not in explained:
            parts.append(f'<p class="note">{escape(_PROTOCOLS.get(protocol, ""))}</p>')
            explained.add(protocol)
        unit = UNITS.get(protocol, "")
        header = ["Class", "Dice", "Jaccard", f"HD95 ({unit})", f"ASD ({unit})", "Left out"]
        cells = [
            [str(line["class"])]
            + [format_score(line, metric, missing="–") for metric in METRICS]
            + [f"{line['dice_left_out']} / {line['hd95_left_out']}"]
            for line in lines
        ]
        parts.append(table(header, cells, mean_last=True))
    return parts


def _spread_section(rows: Sequence[Row]) -> list[str]:
    protocol = "strict" if any(row["protocol"] == "strict" for row in rows) else "published"
    figure = box_plots(rows, protocol)
    if figure is None:
        return []
    caption = (
        f"{protocol.capitalize()} protocol. Box: quartiles; bar: median; whiskers: to 1.5 box lengths; point: volume."
    )
    return ["<h2>Spread over volumes</h2>", _figure(figure, "Box plots of Dice and HD95 for every class", caption)]


def _cases_section(cases: Sequence[CaseView]) -> list[str]:
    parts = ["<h2>Cases</h2>"]
    if not cases:
        return [*parts, '<p class="note">No cases were given.</p>']
    labels: dict[int, str] = {}
    for view in cases:
        labels |= view.labels
    values = sorted(set(labels) - {0})
    items = "".join(
        f'<li><i style="background:{color}"></i>{escape(labels[value])}</li>'
        for value, color in zip(values, class_colors(len(values)), strict=True)
    )
    parts.append(f'<p class="note">Filled: prediction. Line: reference.</p><ul class="legend">{items}</ul>')
    for view in cases:
        parts.append(f"<h3>{escape(case_title(view))}</h3>")
        alt = f"Slices of {view.volume}, the {view.rank} case, with prediction and reference"
        parts.append(_figure(case_figure(view), alt))
    return parts


def _training_section(history: Sequence[Mapping[str, Any]]) -> list[str]:
    parts = ["<h2>Training</h2>"]
    figure = training_curves(history)
    if figure is None:
        return [*parts, '<p class="note">No training history was given.</p>']
    last = history[-1]
    facts = [count(len(history), "epoch")]
    facts += [f"{last['step']} steps"] if "step" in last else []
    spent = sum(float(entry.get("seconds", 0)) for entry in history)
    facts += [_duration(spent)] if spent else []
    return [*parts, _figure(figure, "Loss terms, their weights and validation Dice by epoch", ", ".join(facts) + ".")]


def _volumes_section(rows: Sequence[Row]) -> list[str]:
    volumes: dict[tuple[str, str], dict[str, float]] = {}
    for row in rows:
        if row["protocol"] == "strict":
            volumes.setdefault((row["checkpoint"], row["volume"]), {})[row["class"]] = row["dice"]
    if not volumes:
        return []
    classes = list(dict.fromkeys(name for dice in volumes.values() for name in dice))
    lines = []
    for (checkpoint, volume), dice in volumes.items():
        finite = [value for value in dice.values() if not math.isnan(value)]
        mean = float(np.mean(finite)) if finite else math.nan
        cells = [volume, checkpoint, *(_dice(dice.get(name, math.nan)) for name in classes), _dice(mean)]
        lines.append((math.inf if math.isnan(mean) else mean, cells))
    lines.sort(key=lambda line: line[0])
    body = table(["Volume", "Checkpoint", *classes, "Mean"], [cells for _, cells in lines])
    return [f"<details><summary>Dice of every volume, worst first ({len(lines)} rows)</summary>{body}</details>"]


def _figure(figure: Figure, alt: str, caption: str = "") -> str:
    return picture(png(figure), alt, figure.get_figwidth() * 100, caption)


def _dice(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
