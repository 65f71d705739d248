"""A line of the tables for every dataset, number of labeled cases and method."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewlabel.comparison.tables.bootstrap import paired_interval

CHECKPOINTS = ("last", "best")
PROTOCOLS = ("strict", "published")
Row = Mapping[str, Any]
Group = tuple[str, str]  # dataset, labeled cases


@dataclass(frozen=True)
class Scores:
    """Scores of a method, one checkpoint, one protocol.

    Args:
        dice: mean over classes, then volumes, then seeds.
        deviation: standard deviation over volumes, the root of its mean square over seeds.
        hd95: like ``dice``, in the unit of the protocol.
        by_seed: mean Dice of each seed.
        lift: mean difference in Dice to the baseline over the seeds and volumes of both; nan without a baseline.
        interval: 95 % of the draws of seeds and patients.
        lift_by_seed: mean difference of each seed.
        empty: pairs of volume and class without a distance.
    """

    dice: float
    deviation: float
    hd95: float
    by_seed: Mapping[str, float]
    lift: float = math.nan
    interval: tuple[float, float] = (math.nan, math.nan)
    lift_by_seed: Mapping[str, float] = field(default_factory=dict)
    empty: int = 0

    @property
    def spread(self) -> float:
        """Standard deviation over seeds; nan with one."""
        values = list(self.by_seed.values())
        return float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


@dataclass(frozen=True)
class Line:
    """A method on a dataset with some labels.

    Args:
        dataset: its name.
        labeled_cases: a number, or "all".
        method: the row's name.
        scores: by checkpoint and protocol; none when no run finished.
        seeds: those of the finished runs.
        patients: how many were scored.
        minutes: mean over the finished runs.
        cpu_minutes: of them on the CPU, all cores added up; of runs that were never stopped.
        memory_mib: the largest.
        failures: message by seed of the runs that failed.
    """

    dataset: str
    labeled_cases: str
    method: str
    scores: Mapping[tuple[str, str], Scores]
    seeds: tuple[str, ...]
    patients: int
    minutes: float
    cpu_minutes: float
    memory_mib: float
    failures: Mapping[str, str]


def summarize_runs(runs: Sequence[Row], scores: Sequence[Row], baseline: str) -> list[Line]:
    """Return the lines in the order of datasets, then labeled cases, then methods, the baseline first.

    Args:
        runs: rows of runs, see :func:`fewlabel.comparison.tables.collect.collect`.
        scores: rows of their scores.
        baseline: the method that the others are compared with.
    """
    means = _volume_means(scores)
    by_line: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in runs:
        by_line[row["dataset"], row["labeled_cases"], row["method"]].append(row)
    lines = [_line(key, rows, means, baseline) for key, rows in by_line.items()]
    datasets = list(dict.fromkeys(line.dataset for line in lines))
    return sorted(
        lines,
        key=lambda line: (datasets.index(line.dataset), _number(line.labeled_cases), line.method != baseline),
    )


def _number(labeled_cases: str) -> float:
    return math.inf if labeled_cases == "all" else float(labeled_cases)


# by dataset, labeled cases, method, checkpoint, protocol: by seed, by (patient, volume): Dice, HD95, empty ones
_Means = dict[tuple[str, str, str, str, str], dict[str, dict[tuple[str, str], tuple[float, float, int]]]]


def _volume_means(scores: Sequence[Row]) -> _Means:
    grouped: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in scores:
        key = tuple(row[name] for name in ("dataset", "labeled_cases", "method", "checkpoint", "protocol"))
        grouped[key, row["seed"], (row["case"], row["volume"])].append(row)
    means: _Means = defaultdict(lambda: defaultdict(dict))
    for (key, seed, volume), rows in grouped.items():
        distances = [row["hd95"] for row in rows]
        means[key][seed][volume] = (
            _mean([row["dice"] for row in rows]), _mean(distances), sum(map(math.isnan, distances))
        )  # fmt: skip
    return means


def _line(key: tuple[str, str, str], rows: Sequence[Row], means: _Means, baseline: str) -> Line:
    dataset, labeled, method = key
    finished = [row for row in rows if row["status"] == "finished"]
    scores = {}
    patients: set[str] = set()
    for checkpoint in CHECKPOINTS:
        for protocol in PROTOCOLS:
            own = means.get((*key, checkpoint, protocol))
            if own:
                # differences are shown under the strict protocol alone
                compared = protocol == "strict" and method != baseline
                base = means.get((dataset, labeled, baseline, checkpoint, protocol), {}) if compared else {}
                scores[checkpoint, protocol] = _scores(own, base)
                patients |= {case for volumes in own.values() for case, _ in volumes}
    return Line(
        dataset, labeled, method, scores,
        seeds=tuple(row["seed"] for row in finished),
        patients=len(patients),
        minutes=_mean([row["minutes"] for row in finished]),
        cpu_minutes=_mean([row["cpu_minutes"] for row in finished]),
        memory_mib=max((row["peak_memory_mib"] for row in finished), default=math.nan),
        failures={row["seed"]: row["message"] for row in rows if row["status"] == "failed"},
    )  # fmt: skip


def _scores(
    own: Mapping[str, Mapping[tuple[str, str], tuple[float, float, int]]],
    base: Mapping[str, Mapping[tuple[str, str], tuple[float, float, int]]],
) -> Scores:
    dice = {seed: [values[0] for values in volumes.values()] for seed, volumes in own.items()}
    by_seed = {seed: _mean(values) for seed, values in dice.items()}
    variances = [_variance(values) for values in dice.values()]
    more: dict[str, Any] = {}
    differences = {
        seed: {volume: own[seed][volume][0] - base[seed][volume][0] for volume in own[seed] if volume in base[seed]}
        for seed in own
        if seed in base
    }
    if any(differences.values()):
        more["lift_by_seed"] = {seed: _mean(list(values.values())) for seed, values in differences.items()}
        more["lift"] = _mean(list(more["lift_by_seed"].values()))
        more["interval"] = paired_interval(_by_patient(differences))
    return Scores(
        dice=_mean(list(by_seed.values())),
        deviation=math.sqrt(_mean(variances)),
        hd95=_mean([_mean([values[1] for values in volumes.values()]) for volumes in own.values()]),
        by_seed=by_seed,
        empty=sum(values[2] for volumes in own.values() for values in volumes.values()),
        **more,
    )


def _by_patient(differences: Mapping[str, Mapping[tuple[str, str], float]]) -> NDArray[np.float64]:
    """Differences (S, P), the mean over the volumes of each patient."""
    patients = list(dict.fromkeys(case for volumes in differences.values() for case, _ in volumes))
    matrix = np.full((len(differences), len(patients)), math.nan)
    for row, volumes in enumerate(differences.values()):
        for column, patient in enumerate(patients):
            matrix[row, column] = _mean([value for (case, _), value in volumes.items() if case == patient])
    return matrix


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if not math.isnan(value)]
    return float(np.mean(finite)) if finite else math.nan


def _variance(values: Sequence[float]) -> float:
    finite = [value for value in values if not math.isnan(value)]
    return float(np.var(finite, ddof=1)) if len(finite) > 1 else math.nan
