"""How certain a difference between two methods is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

REPLICATES = 10_000
_BATCH = 1_000


def paired_interval(
    differences: NDArray[np.float64], level: float = 0.95, replicates: int = REPLICATES, seed: int = 0
) -> tuple[float, float]:
    r"""Percentile interval of a mean difference over seeds and patients, both drawn with replacement.

    .. math:: \bar d^* = \frac{\sum_{sp} u_s v_p n_{sp} d_{sp}}{\sum_{sp} u_s v_p n_{sp}}

    with u and v how often a seed and a patient are drawn: the pigeonhole bootstrap, Owen, "The pigeonhole bootstrap",
    Annals of Applied Statistics 2007. Both methods meet the same seeds and patients, so pairs are drawn, not scores.
    With one seed only patients vary, and the interval says nothing of other seeds; with a few it is too narrow rather
    than too wide.

    Args:
        differences: (S, P) method minus baseline by seed and patient; nan where there is none.
        level: of the interval.
        replicates: how many draws.
        seed: of the draws.

    Returns:
        Lower and upper end; nan with fewer than two patients.

    Raises:
        ValueError: no matrix, or one without a number.

    >>> paired_interval(np.full((3, 10), 0.1))
    (0.1, 0.1)
    """
    if differences.ndim != 2 or not np.isfinite(differences).any():
        raise ValueError(f"expected differences by seed and patient, got an array of shape {differences.shape}")
    present = np.isfinite(differences)
    values = np.where(present, differences, 0.0)
    seeds, patients = differences.shape
    if patients < 2:
        return float("nan"), float("nan")
    random = np.random.default_rng(seed)
    means: list[NDArray[np.float64]] = []
    for first in range(0, replicates, _BATCH):
        number = min(_BATCH, replicates - first)
        u = random.multinomial(seeds, np.full(seeds, 1 / seeds), size=number)
        v = random.multinomial(patients, np.full(patients, 1 / patients), size=number)
        sums = ((u @ values) * v).sum(axis=1)
        counts = ((u @ present) * v).sum(axis=1)
        means.append(sums[counts > 0] / counts[counts > 0])
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2])
    return float(round(low, 12)), float(round(high, 12))
