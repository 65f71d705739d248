from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from fewlabel.comparison.tables.collect import RUN_COLUMNS

Rows = tuple[list[dict[str, Any]], list[dict[str, Any]]]


@pytest.fixture
def rows() -> Callable[..., Rows]:
    """Write the rows of one method: its run, and a score for each seed, patient and volume, of one class."""

    def make(
        method: str, dice: Sequence[Sequence[float]], labeled_cases: str = "3", dataset: str = "mine", **more: Any
    ) -> Rows:
        runs, scores = [], []
        for seed, of_patients in enumerate(dice):
            identity = {"dataset": dataset, "method": method, "labeled_cases": labeled_cases, "seed": str(seed)}
            identity |= {"split": "validation"}
            run = dict.fromkeys(RUN_COLUMNS, "") | identity
            runs.append(
                run | {"status": "finished", "minutes": 2.0 + seed, "cpu_minutes": 1.0, "peak_memory_mib": 512.0}
            )
            runs[-1] |= more
            scores += [
                identity
                | {"checkpoint": checkpoint, "case": f"p{patient}", "volume": f"p{patient}_a", "class": "heart"}
                | {"protocol": protocol, "dice": value, "jaccard": math.nan, "hd95": 10 * value, "asd": math.nan}
                for patient, value in enumerate(of_patients)
                for checkpoint in ("best", "last")
                for protocol in ("strict", "published")
            ]
        return runs, scores

    return make
