"""Find scans of one patient that go by two names."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewlabel.data.checks.keypoints import Keypoints

_VOTES = 3  # keypoints that recur at one displacement, to compare voxels; most pairs have two at most
_SURE = 8  # keypoints that recur in no other patient's scan
_CORRELATION = 0.75
_OVERLAP = 0.5  # of the smaller scan, unless the keypoints are sure
_CROWD = 30  # keypoints of one code, beyond which it says nothing
_SAMPLE = 100_000  # voxels to choose the exact shift by

Shift = tuple[int, int, int]


@dataclass(frozen=True)
class Double:
    """Two scans that show the same.

    Args:
        first: name of the one.
        second: name of the other.
        shift: voxels by which the second's content lies further along each axis, in canonical orientation.
        identical: share of the voxels in both that are equal.
        correlation: of the voxels in both, 1 where one is a scaled copy of the other.
        recurring: share of the keypoints that recur, a hint of how sure it is.
    """

    first: str
    second: str
    shift: Shift
    identical: float
    correlation: float
    recurring: float


def find_doubles(
    keypoints: Mapping[str, Keypoints],
    read: Callable[[str], NDArray[Any]],
    skip: Callable[[str, str], bool] = lambda first, second: False,
) -> list[Double]:
    """Find pairs of scans that share content after a shift, without registration: seconds for hundreds of scans.

    Keypoints of equal codes vote for the displacement between two scans. Copies, crops of one scan and copies that
    were scaled, moved by parts of a voxel or disturbed a little get many votes for one displacement, and so do frames
    of one heart; scans of two patients get three at most. Pairs with three or more are compared voxel by voxel.
    A scan of the same patient in another position or at another resolution is not found.

    Args:
        keypoints: of each scan by name.
        read: returns a scan's gray values (H, W, D) as its keypoints were found in.
        skip: says of two names that they need no comparison, as volumes of one patient.

    Returns:
        The pairs, the surest first.
    """
    doubles = []
    for (first, second), (votes, displacement) in _votes(keypoints).items():
        if skip(first, second):
            continue
        a, b = read(first), read(second)
        shift, identical, correlation = _compare(a, b, displacement, keypoints[first].factors)
        overlap = _overlap(a, b, shift)[0].size / min(a.size, b.size)
        if correlation >= _CORRELATION and (votes >= _SURE or overlap >= _OVERLAP):
            fewer = min(len(keypoints[first].codes), len(keypoints[second].codes))
            doubles.append(Double(first, second, shift, identical, correlation, votes / fewer))
    return sorted(doubles, key=lambda double: -double.recurring)


def _votes(keypoints: Mapping[str, Keypoints]) -> dict[tuple[str, str], tuple[int, Shift]]:
    """Return for each pair of scans the displacement with most votes, and how many."""
    names = [name for name, found in keypoints.items() if len(found.codes)]
    if len(names) < 2:
        return {}
    owners = np.concatenate([np.full(len(keypoints[name].codes), number) for number, name in enumerate(names)])
    codes = np.concatenate([keypoints[name].codes for name in names])
    positions = np.concatenate([keypoints[name].positions for name in names])
    order = np.argsort(codes, kind="stable")
    one, other = _equal_neighbors(codes[order])
    one, other = order[one], order[other]  # the sort is stable, so the owner of one comes first
    apart = owners[one] != owners[other]
    one, other = one[apart], other[apart]
    ballots = np.column_stack([owners[one], owners[other], positions[other] - positions[one]])
    ballots, counts = np.unique(ballots, axis=0, return_counts=True)
    best: dict[tuple[str, str], tuple[int, Shift]] = {}
    for index in np.flatnonzero(counts >= _VOTES):
        first, second, *displacement = ballots[index].tolist()
        pair = (names[first], names[second])
        if keypoints[pair[0]].factors == keypoints[pair[1]].factors and counts[index] > best.get(pair, (0,))[0]:
            best[pair] = (int(counts[index]), (displacement[0], displacement[1], displacement[2]))
    return best


def _equal_neighbors(codes: NDArray[np.int32]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the pairs of indices of equal codes in a sorted list, the smaller index first."""
    ones, others = [np.empty(0, np.intp)], [np.empty(0, np.intp)]
    starts = np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]])
    sizes = np.diff(np.r_[starts, len(codes)])
    for size in np.unique(sizes[(sizes > 1) & (sizes <= _CROWD)]):
        i, j = np.triu_indices(size, 1)
        here = starts[sizes == size][:, None]
        ones.append((here + i).ravel())
        others.append((here + j).ravel())
    return np.concatenate(ones), np.concatenate(others)


def _compare(
    first: NDArray[Any], second: NDArray[Any], displacement: Shift, factors: Shift
) -> tuple[Shift, float, float]:
    """Return the exact shift near a displacement of averaged voxels, and there the share of equal ones and NCC."""
    around = itertools.product(*(range(1 - factor, factor) for factor in factors))
    candidates: list[Shift] = []
    for offset in around:
        shift = tuple(d * f + o for d, f, o in zip(displacement, factors, offset, strict=True))
        candidates.append((shift[0], shift[1], shift[2]))
    best = max(candidates, key=lambda shift: _correlation(*_overlap(first, second, shift, _SAMPLE)))
    a, b = _overlap(first, second, best)
    return best, float(np.mean(a == b)), _correlation(a, b)


def _overlap(
    first: NDArray[Any], second: NDArray[Any], shift: Shift, sample: int | None = None
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return what both scans show, the second shifted back; every so many voxels when a sample is enough."""
    parts: list[tuple[slice, slice]] = []
    for here, there, step in zip(first.shape, second.shape, shift, strict=True):
        low, high = max(0, -step), min(here, there - step)
        parts.append((slice(low, max(low, high)), slice(low + step, max(low, high) + step)))
    a, b = first[tuple(part[0] for part in parts)], second[tuple(part[1] for part in parts)]
    every = 1 if sample is None else max(1, a.size // sample)
    return a.reshape(-1)[::every], b.reshape(-1)[::every]


def _correlation(a: NDArray[Any], b: NDArray[Any]) -> float:
    if a.size < 2:
        return 0.0
    a, b = a - a.mean(dtype=np.float64), b - b.mean(dtype=np.float64)
    power = float(np.sqrt((a * a).sum(dtype=np.float64) * (b * b).sum(dtype=np.float64)))
    return float((a * b).sum(dtype=np.float64)) / power if power > 0 else 0.0
