from __future__ import annotations

import itertools

import numpy as np
import pytest

from fewlabel.comparison.tables.bootstrap import paired_interval


def literal(differences: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Every draw of seeds and patients there is, each as likely as any other."""
    seeds, patients = differences.shape
    means = []
    for chosen_seeds in itertools.product(range(seeds), repeat=seeds):
        for chosen_patients in itertools.product(range(patients), repeat=patients):
            drawn = [differences[s, p] for s in chosen_seeds for p in chosen_patients]
            known = [value for value in drawn if not np.isnan(value)]
            if known:
                means.append(sum(known) / len(known))
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


@pytest.mark.parametrize("shape", [(1, 5), (2, 4), (3, 3)])
def test_the_interval_is_that_of_all_draws(shape: tuple[int, int]) -> None:
    differences = np.random.default_rng(1).normal(0.1, 0.1, shape)
    assert paired_interval(differences, replicates=40_000) == pytest.approx(literal(differences), abs=4e-3)


def test_pairs_that_are_missing_are_left_out() -> None:
    differences = np.random.default_rng(2).normal(0.0, 0.1, (2, 4))
    differences[0, 1] = np.nan
    assert paired_interval(differences, replicates=40_000) == pytest.approx(literal(differences), abs=4e-3)


def test_a_constant_added_to_all_differences_moves_the_interval_by_it() -> None:
    differences = np.random.default_rng(3).normal(size=(3, 20))
    low, high = paired_interval(differences)
    assert paired_interval(differences + 2) == pytest.approx((low + 2, high + 2))
    assert paired_interval(-differences) == pytest.approx((-high, -low), abs=0.02)


def test_seeds_that_differ_widen_what_patients_alone_would_give() -> None:
    of_patients = np.random.default_rng(4).normal(0, 0.01, 20)
    steady = np.stack([of_patients] * 3)
    shaky = steady + np.array([[-0.1], [0.0], [0.1]])
    widths = [np.ptp(paired_interval(each)) for each in (steady, shaky)]
    assert widths[1] > 5 * widths[0]


def test_it_covers_the_truth_about_as_often_as_it_says_over_many_patients() -> None:
    random = np.random.default_rng(5)
    hits = 0
    for _ in range(200):
        low, high = paired_interval(random.normal(0.3, 1.0, (1, 40)), replicates=1000)
        hits += low <= 0.3 <= high
    assert 0.88 < hits / 200 <= 0.99


def test_one_patient_has_no_interval() -> None:
    assert np.isnan(paired_interval(np.ones((3, 1)))).all()


@pytest.mark.parametrize("differences", [np.ones(3), np.full((2, 2), np.nan), np.ones((0, 4))])
def test_what_is_no_matrix_of_differences_is_refused(differences: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected differences by seed and patient"):
        paired_interval(differences)
