from __future__ import annotations

import numpy as np
import pytest

from fewlabel.data.public.cropping import crop_to_label, resample
from fewlabel.data.public.preparation import Scan

AFFINE = np.array([[0, -2.0, 0, 10], [1.5, 0, 0, -20], [0, 0, 3.0, 5], [0, 0, 0, 1]])


@pytest.fixture
def scan() -> Scan:
    label = np.zeros((20, 18, 10), np.uint8)
    label[5:9, 7:8, 2:5] = 1
    return Scan(np.random.default_rng(0).normal(size=label.shape), label, AFFINE)


def test_the_box_and_its_margin_are_kept_and_no_more(scan: Scan) -> None:
    cut = crop_to_label(scan, 2)
    np.testing.assert_array_equal(cut.image, scan.image[3:11, 5:10, 0:7])
    np.testing.assert_array_equal(cut.label, scan.label[3:11, 5:10, 0:7])


def test_an_axis_that_is_not_named_is_kept_whole(scan: Scan) -> None:
    assert crop_to_label(scan, 0, axes=(0, 1)).image.shape == (4, 1, 10)


def test_a_small_box_is_widened_evenly_as_far_as_the_scan_goes(scan: Scan) -> None:
    np.testing.assert_array_equal(crop_to_label(scan, 0, axes=(0,), smallest=7).image, scan.image[4:11])
    assert crop_to_label(scan, 0, smallest=99).image.shape == scan.image.shape


def test_what_a_crop_shows_stays_where_it_is(scan: Scan) -> None:
    cut = crop_to_label(scan, 1)
    first = [position - 1 for position in (5, 7, 2)]
    np.testing.assert_allclose(cut.affine @ [0, 0, 0, 1], AFFINE @ [*first, 1])
    np.testing.assert_array_equal(cut.affine[:3, :3], AFFINE[:3, :3])


def test_nothing_labeled_or_a_bad_margin_is_an_error(scan: Scan) -> None:
    with pytest.raises(ValueError, match="the label map is empty"):
        crop_to_label(Scan(scan.image, np.zeros_like(scan.label), AFFINE), 3)
    for margin in (-1, 2.5, True):
        with pytest.raises(ValueError, match="margin is"):
            crop_to_label(scan, margin)  # type: ignore[arg-type]


def test_resampling_keeps_the_field_of_view_and_the_place_of_the_label(scan: Scan) -> None:
    result = resample(scan, 1.0)
    assert result.image.shape == result.label.shape == (30, 36, 30)
    np.testing.assert_allclose(np.linalg.norm(result.affine[:3, :3], axis=0), 1.0)
    corners = [np.array([-0.5, -0.5, -0.5, 1]), np.array([*np.array(scan.image.shape) - 0.5, 1])]
    after = [np.array([-0.5, -0.5, -0.5, 1]), np.array([*np.array(result.image.shape) - 0.5, 1])]
    for before, now in zip(corners, after, strict=True):
        np.testing.assert_allclose(result.affine @ now, scan.affine @ before)
    middles = [one.affine @ [*np.argwhere(one.label).mean(0), 1] for one in (scan, result)]
    np.testing.assert_allclose(*middles, atol=0.5)


def test_a_linear_ramp_stays_linear_inside() -> None:
    ramp = np.broadcast_to(np.arange(8.0)[:, None, None], (8, 4, 4))
    halved = resample(Scan(ramp, np.zeros(ramp.shape, np.uint8), np.eye(4)), 2.0)
    np.testing.assert_allclose(halved.image[:, 0, 0], [0.5, 2.5, 4.5, 6.5])
