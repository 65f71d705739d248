from __future__ import annotations

import math

import pytest

from fewlabel.planning.patch_rules import patch_settings, patches
from fewlabel.planning.structures import Structure
from fewlabel.planning.template import read_template


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
        assert patch.size[0] == patch.size[1]


def test_a_small_structure_keeps_four_voxels_though_the_patch_holds_less(atrium):
    # 6 mm / 4
    first = patches(atrium(structures=(Structure("vein", 6.0, 0.06),)))[0]
    assert first.spacing == (1.5, 1.5, 1.5)
    assert first.covered < 0.95


def test_thick_slices_are_not_made_thinner(abdomen):
    first = patches(abdomen())[0]
    assert first.spacing[2] == 7.7
    assert first.spacing[0] == first.spacing[1]


def test_quarter_turns_go_where_they_would_swap_unequal_spacings(atrium):
    first = patches(atrium(spacing=(3.0, 0.5, 0.5), shape=(30.0, 200.0, 200.0)))[0]
    found = {each.key: each.value for each in patch_settings(first, atrium(), read_template("vnet"))}
    assert found["train#augmentation#transforms#2#prob"] == 0.0


def test_windows_overlap_by_half(atrium):
    first = patches(atrium())[0]
    found = {each.key: each.value for each in patch_settings(first, atrium(), read_template("vnet"))}
    assert found["paper#stride"] == [32, 32, 16]
    assert "train#augmentation#transforms#2#prob" not in found
