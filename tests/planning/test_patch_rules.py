from __future__ import annotations

import math

import pytest

from fewlabel.planning.patch_rules import patch_settings, patches
from fewlabel.planning.structures import Structure


def test_the_first_patch_of_an_atrium_holds_the_scan_at_about_2_mm(atrium):
    # 192 * 0.625 / 64 = 1.875, which 90 mm / 64 and 55 mm / 32 do not exceed
    first = patches(atrium())[0]
    assert first.size == (64, 64, 32)
    assert first.spacing == pytest.approx((1.88, 1.88, 1.88), abs=0.01)
    assert first.covered == pytest.approx(1, abs=0.01)


def test_more_voxels_make_the_spacing_finer_and_never_finer_than_the_scan(atrium):
    found = patches(atrium())
    steps = [patch.spacing[0] for patch in found]
    assert len(found) == 3
    assert steps == sorted(steps, reverse=True)
    assert steps[-1] >= 0.625


def test_voxels_stay_below_their_budget_and_sides_are_multiples_of_16(atrium):
    for voxels, patch in zip((131072, 262144, 524288), patches(atrium()), strict=True):
        assert math.prod(patch.size) <= voxels
        assert all(side % 16 == 0 for side in patch.size)


def test_a_small_structure_keeps_four_voxels_though_the_patch_holds_less(atrium):
    # 6 mm / 4
    first = patches(atrium(structures=(Structure("vein", 6.0, 0.06),)))[0]
    assert first.spacing == (1.5, 1.5, 1.5)
    assert first.covered < 0.95


def test_thick_slices_are_not_made_thinner(abdomen):
    first = patches(abdomen())[0]
    assert first.spacing[2] == 7.7
    assert first.spacing[0] == first.spacing[1]


def test_sides_differ_where_that_shows_a_long_scan_in_finer_voxels(atrium):
    # 80 x 64 x 48: 120 / 80 = 1.5, of 90 / 64 and 55 / 48; the best square is 80 x 80 x 32, 55 / 32 = 1.72
    square, long, _ = patches(atrium())
    assert (square.size[0], long.size, long.spacing) == (square.size[1], (80, 64, 48), (1.5, 1.5, 1.5))
    assert long.covered == pytest.approx(1, abs=0.01)
    reasons = [next(patch_settings(patch, atrium())).reason for patch in (square, long)]
    assert ["180 degrees alone" in reason for reason in reasons] == [False, True]


def test_quarter_turns_are_kept_where_other_sides_show_no_more(abdomen):
    # a scan that is as wide as it is deep
    assert [patch.size[0] == patch.size[1] for patch in patches(abdomen())] == [True] * len(patches(abdomen()))


def test_thick_slices_along_the_first_axis_still_have_a_patch(atrium):
    first = patches(atrium(spacing=(3.0, 0.5, 0.5), shape=(30.0, 200.0, 200.0)))[0]
    assert first.spacing[0] > first.spacing[1]


def test_windows_overlap_by_half(atrium):
    first = patches(atrium())[0]
    found = {each.key: each.value for each in patch_settings(first, atrium())}
    assert found["paper#stride"] == [32, 32, 16]
