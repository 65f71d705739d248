from __future__ import annotations

import math
from typing import Any

import pytest

from fewlabel.comparison.tables.summary import summarize_runs

BASE = [[0.5, 0.7], [0.6, 0.6]]
BETTER = [[0.6, 0.9], [0.6, 0.7]]


def both(rows: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    (runs_a, scores_a), (runs_b, scores_b) = rows("bcp", BETTER), rows("supervised", BASE)
    return runs_a + runs_b, scores_a + scores_b


def test_means_and_deviations_are_those_of_volumes_then_seeds(rows: Any) -> None:
    baseline, line = summarize_runs(*both(rows), "supervised")
    assert (baseline.method, line.method) == ("supervised", "bcp")
    scores = line.scores["last", "strict"]
    assert scores.dice == pytest.approx((0.75 + 0.65) / 2)
    assert scores.by_seed == pytest.approx({"0": 0.75, "1": 0.65})
    assert scores.spread == pytest.approx(0.1 / math.sqrt(2))
    # variances over volumes: 0.045 and 0.005
    assert scores.deviation == pytest.approx(math.sqrt(0.025))
    assert scores.hd95 == pytest.approx(7.0)
    assert (line.minutes, line.cpu_minutes, line.memory_mib, line.patients) == (2.5, 1.0, 512.0, 2)


def test_the_lift_is_the_mean_over_the_pairs_of_both(rows: Any) -> None:
    baseline, line = summarize_runs(*both(rows), "supervised")
    scores = line.scores["last", "strict"]
    assert scores.lift_by_seed == pytest.approx({"0": 0.15, "1": 0.05})
    assert scores.lift == pytest.approx(0.1)
    assert scores.interval[0] < 0.1 < scores.interval[1]
    assert math.isnan(baseline.scores["last", "strict"].lift)


def test_seeds_that_the_baseline_lacks_count_for_the_mean_and_not_for_the_lift(rows: Any) -> None:
    (runs_a, scores_a), (runs_b, scores_b) = rows("bcp", BETTER), rows("supervised", BASE[:1])
    _, line = summarize_runs(runs_a + runs_b, scores_a + scores_b, "supervised")
    assert line.scores["last", "strict"].dice == pytest.approx(0.7)
    assert line.scores["last", "strict"].lift == pytest.approx(0.15)


def test_volumes_of_a_patient_are_drawn_together(rows: Any) -> None:
    runs, scores = both(rows)
    of_one = [{**row, "case": "p0"} for row in scores]
    _, line = summarize_runs(runs, of_one, "supervised")
    assert line.patients == 1
    assert math.isnan(line.scores["last", "strict"].interval[0])
    assert line.scores["last", "strict"].lift == pytest.approx(0.1)


def test_a_score_that_does_not_exist_is_left_out_and_counted(rows: Any) -> None:
    runs, scores = rows("supervised", [[0.4, 0.8]])
    scores = [{**row, "hd95": math.nan} if row["case"] == "p0" else row for row in scores]
    (line,) = summarize_runs(runs, scores, "supervised")
    assert line.scores["last", "strict"].hd95 == pytest.approx(8.0)
    assert line.scores["last", "strict"].empty == 1


def test_a_run_that_failed_is_a_message_and_nothing_else(rows: Any) -> None:
    runs, scores = rows("bcp", BETTER)
    runs[1] |= {"status": "failed", "message": "out of memory", "minutes": math.nan}
    (line,) = summarize_runs(runs, [row for row in scores if row["seed"] == "0"], "bcp")
    assert line.failures == {"1": "out of memory"}
    assert (line.seeds, line.minutes) == (("0",), 2.0)


def test_lines_come_by_number_of_labels_with_the_baseline_first(rows: Any) -> None:
    parts = [rows(method, BASE, labeled) for labeled in ("all", "7", "3") for method in ("mcsc", "supervised", "bcp")]
    lines = summarize_runs(
        [row for part in parts for row in part[0]], [row for part in parts for row in part[1]], "supervised"
    )
    assert [(line.labeled_cases, line.method) for line in lines] == [
        (labeled, method) for labeled in ("3", "7", "all") for method in ("supervised", "mcsc", "bcp")
    ]
