from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from fewlabel.transforms import Strengths
from fewlabel.transforms.strong.geometry import Resampling, draw_change

SLICE, CUBE, THICK, SAGITTAL = (1.0, 1.0), (2.0, 2.0, 2.0), (1.25, 1.25, 7.7), (6.0, 1.0, 1.5)


def drawn(spacing: tuple[float, ...], count: int = 300, **strengths: Any) -> np.ndarray:
    random = np.random.RandomState(0)
    return np.stack([draw_change(random, Strengths(**strengths), spacing) for _ in range(count)])


def in_millimeters(change: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    """(n, d, d): what a change makes of offsets in millimeters."""
    return np.einsum("i,nij,j->nij", spacing, change, 1 / np.asarray(spacing))


@pytest.mark.parametrize("spacing", [SLICE, CUBE, THICK, SAGITTAL])
def test_a_rotation_keeps_lengths_in_millimeters_and_sides(spacing: tuple[float, ...]) -> None:
    rotations = in_millimeters(drawn(spacing, scale=(1, 1)), spacing)
    products = np.einsum("nij,nik->njk", rotations, rotations)
    np.testing.assert_allclose(products, np.broadcast_to(np.eye(len(spacing)), products.shape), atol=1e-12)
    assert (np.linalg.det(rotations) > 0).all()


@pytest.mark.parametrize(("spacing", "through", "tilts"), [(CUBE, 2, True), (THICK, 2, False), (SAGITTAL, 0, False)])
def test_volumes_are_rotated_about_the_axis_of_the_slices_and_tilted_little(
    spacing: tuple[float, ...], through: int, tilts: bool
) -> None:
    rotations = in_millimeters(drawn(spacing, angle=23, scale=(1, 1), geometry_prob=1), spacing)
    one, other = (axis for axis in range(3) if axis != through)
    turned = np.degrees(np.arctan2(rotations[:, other, one], rotations[:, one, one]))
    assert 21 < np.abs(turned).max() <= 23.5  # a tilt adds a little
    tilted = np.degrees(np.arccos(np.clip(rotations[:, through, through], -1, 1)))
    # both tilts at their largest, 23 / 3 degrees each
    assert (8 < tilted.max() < 23 / 3 * 2**0.5) if tilts else (tilted.max() < 1e-5)


def test_scales_lie_between_their_limits_each_axis_by_itself() -> None:
    factors = 1 / np.diagonal(drawn(SLICE, 1000, geometry_prob=1, angle=0), axis1=1, axis2=2)
    assert 0.7 <= factors.min() < 0.71
    assert 1.33 < factors.max() <= 1.35
    assert abs(np.corrcoef(factors.T)[0, 1]) < 0.15  # about five standard deviations
    # even in the logarithm: half lies above the geometric mean
    assert abs((factors > (0.7 * 1.35) ** 0.5).mean() - 0.5) < 0.05


def test_rotation_and_scale_are_drawn_with_their_probability_independently() -> None:
    changes = drawn(SLICE, 2000, geometry_prob=0.6)
    rotated = ~np.isclose(changes[:, 0, 1], 0)
    scaled = ~np.isclose(np.linalg.det(changes), 1)
    assert abs(rotated.mean() - 0.6) < 0.045
    assert abs(scaled.mean() - 0.6) < 0.045
    assert abs((rotated & scaled).mean() - 0.36) < 0.045


def test_axes_are_mirrored_half_the_time_and_only_if_asked_to() -> None:
    random, still = np.random.RandomState(0), Strengths(geometry_prob=0)
    changes = np.stack([draw_change(random, still, CUBE, mirrored_axes=(0, 2)) for _ in range(400)])
    signs = np.diagonal(changes, axis1=1, axis2=2)
    assert abs((signs < 0).mean(axis=0) - (0.5, 0, 0.5)).max() < 0.1
    assert (drawn(SLICE, geometry_prob=0) == np.eye(2)).all()


def naive(pixels: np.ndarray, affine: np.ndarray, size: tuple[int, ...], nearest: bool) -> np.ndarray:
    """Pixel by pixel, with zeros outside."""
    out = np.zeros(size)
    for place in np.ndindex(*size):
        at = affine[:, :-1] @ place + affine[:, -1]
        low = np.round(at).astype(int) if nearest else np.floor(at).astype(int)
        for step in np.ndindex(*[1 if nearest else 2] * len(size)):
            corner = low + step
            weight = 1.0 if nearest else float(np.prod(1 - np.abs(at - corner)))
            if (corner >= 0).all() and (corner < pixels.shape).all():
                out[place] += weight * pixels[tuple(corner)]
    return out


@pytest.mark.parametrize("nearest", [False, True])
@pytest.mark.parametrize(
    ("native", "size", "shift"),
    [
        ((9, 7), (5, 8), 0),
        ((9, 7), (5, 8), 40),
        ((12, 3), (4, 4), -2),
        ((7, 6, 5), (4, 3, 4), 1),
        ((3, 4, 2), (5, 4, 3), 0),
    ],
)
def test_resampling_is_what_a_loop_over_pixels_gives(
    native: tuple[int, ...], size: tuple[int, ...], shift: int, nearest: bool
) -> None:
    random = np.random.RandomState(1)
    pixels = random.rand(*native)
    linear = np.eye(len(size)) + random.uniform(-0.4, 0.4, (len(size),) * 2)
    affine = np.column_stack([linear, random.uniform(-1, 2, len(size)) + shift])
    found = Resampling(affine, size, native)(torch.from_numpy(pixels).float()[None], nearest)
    np.testing.assert_allclose(found[0], naive(pixels, affine, size, nearest), atol=1e-5)


def test_only_the_box_that_a_patch_covers_is_read() -> None:
    volume = torch.full((1, 40, 40, 40), float("nan"))
    volume[:, 9:17, 19:27, 4:12] = 1.0
    affine = np.column_stack([np.eye(3), (10.5, 20.5, 5.5)])
    assert (Resampling(affine, (5, 5, 5), (40, 40, 40))(volume, nearest=False) == 1).all()
