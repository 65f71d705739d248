"""Copies of a scan are found by their content, whatever was done to them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from fewlabel.data.checks.doubles import Double, find_doubles
from fewlabel.data.checks.keypoints import find_keypoints

Array = NDArray[np.float32]
SPACING = (1.5, 1.5, 8.0)


def scan(seed: int, shape: tuple[int, int, int] = (120, 110, 6), depth: float = 0.3) -> Array:
    """Structures of several sizes, which reach over some slices, and some noise."""
    random = np.random.default_rng(seed)
    blobs = sum(ndimage.gaussian_filter(random.normal(size=shape), (s, s, depth)) * s * 100 for s in (2, 4, 8))
    return np.asarray(500 + blobs + random.normal(size=shape), dtype=np.float32)


def doubles(scans: dict[str, Array], spacing: tuple[float, ...] = SPACING) -> list[Double]:
    return find_doubles({name: find_keypoints(array, spacing) for name, array in scans.items()}, scans.__getitem__)


CHANGES: dict[str, tuple[Callable[[Array], Array], tuple[int, int, int], float]] = {
    "nothing": (lambda a: a, (0, 0, 0), 1.0),
    "cropped": (lambda a: a[13:, 4:-9, 1:], (-13, -4, -1), 1.0),
    "padded": (lambda a: np.pad(a, ((5, 2), (0, 7), (1, 0))), (5, 0, 1), 1.0),
    "scaled": (lambda a: a[3:] * 0.004 - 1, (-3, 0, 0), 1.0),
    "noisy": (
        lambda a: a[3:] + np.random.default_rng(9).normal(0, 5, a[3:].shape).astype(np.float32),
        (-3, 0, 0),
        0.99,
    ),
    "in 8 bits": (lambda a: np.round(255 * (a - a.min()) / np.ptp(a)).astype(np.uint8), (0, 0, 0), 0.99),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_copy_is_found_with_its_shift_among_other_scans(change: str) -> None:
    alter, shift, correlation = CHANGES[change]
    others = {f"other{number}": scan(number) for number in range(1, 6)}
    (found,) = doubles({"first": scan(0), **others, "copy": np.ascontiguousarray(alter(scan(0)))})
    assert (found.first, found.second, found.shift) == ("first", "copy", shift)
    assert correlation - 1e-6 <= found.correlation <= 1 + 1e-6
    assert (found.identical > 0.99) is (change in {"nothing", "cropped", "padded"})


def test_a_copy_moved_by_half_a_pixel_is_found() -> None:
    moved = ndimage.shift(scan(0), (0.5, 0.5, 0), order=1, mode="nearest")
    (found,) = doubles({"first": scan(0), "other": scan(1), "copy": moved})
    assert (found.first, found.second) == ("first", "copy")
    assert max(map(abs, found.shift)) <= 1
    assert found.correlation > 0.9


def test_the_shift_of_fine_voxels_is_exact_although_they_are_averaged_first() -> None:
    fine, other = (scan(seed, (180, 170, 40), depth=3) for seed in (0, 1))
    (found,) = doubles({"first": fine, "other": other, "copy": fine[5:, 3:, 3:-4]}, (0.6, 0.6, 0.6))
    assert (found.shift, found.identical) == ((-5, -3, -3), 1.0)


def test_scans_of_other_patients_are_no_doubles() -> None:
    assert doubles({str(number): scan(number) for number in range(12)}) == []


def test_pairs_that_need_no_comparison_are_never_read() -> None:
    scans = {"a": scan(0), "b": scan(0)}
    found = find_doubles({name: find_keypoints(array, SPACING) for name, array in scans.items()}, {}.__getitem__,
                         lambda first, second: {first, second} == {"a", "b"})  # fmt: skip
    assert found == []


@pytest.mark.parametrize("array", [np.zeros((64, 64, 3)), np.ones((8, 8, 1)), np.zeros((30, 2, 2))])
def test_scans_without_texture_or_too_small_have_no_keypoints_to_match(array: Array) -> None:
    assert doubles({"a": array, "b": array.copy(), "c": scan(0)}) == []
    assert len(find_keypoints(array, SPACING).codes) == 0


def test_keypoints_move_with_the_image() -> None:
    whole, part = find_keypoints(scan(0), SPACING), find_keypoints(scan(0)[20:-20, 20:-20], SPACING)
    places = {
        tuple(position): code for position, code in zip(whole.positions.tolist(), whole.codes.tolist(), strict=True)
    }
    # blobs at the edge of the part see other surroundings
    central = [(x + 20, y + 20, z) in places and places[x + 20, y + 20, z] == code
               for (x, y, z), code in zip(part.positions.tolist(), part.codes.tolist(), strict=True)
               if 25 <= x < 55 and 25 <= y < 45]  # fmt: skip
    assert len(central) > 20
    assert all(central)
