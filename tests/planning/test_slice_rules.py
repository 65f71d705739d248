from __future__ import annotations

import pytest

from fewlabel.planning.slice_rules import slice_sizes
from fewlabel.planning.structures import Structure


def test_sizes_go_from_twelve_pixels_across_the_smallest_structure_to_the_scans_own(abdomen):
    # 12 / 0.1 = 120 pixels, which 128 is the first multiple of 32 to hold
    small = (Structure("left kidney", 32.0, 0.1),)
    assert slice_sizes(abdomen(structures=small), 96) == [128, 160, 192, 224, 256]


def test_a_multiple_of_32_is_not_rounded_up(abdomen):
    assert slice_sizes(abdomen(structures=(Structure("spleen", 30.0, 0.09375),)), 96)[0] == 128


@pytest.mark.parametrize("least", [96, 128])
def test_large_structures_ask_for_no_slices_below_those_of_small_json(abdomen, least):
    assert slice_sizes(abdomen(structures=(Structure("liver", 200.0, 0.8),)), least)[0] == least


def test_the_smallest_share_counts_and_not_the_smallest_diameter(abdomen):
    # 12 / 0.05 = 240
    structures = (Structure("near", 10.0, 0.3), Structure("far", 20.0, 0.05))
    assert slice_sizes(abdomen(structures=structures), 96) == [256]


def test_no_slice_is_larger_than_the_scans(abdomen):
    tiny = (Structure("adrenal", 3.0, 0.01),)
    assert slice_sizes(abdomen(structures=tiny), 96) == [256]
    assert slice_sizes(abdomen(structures=tiny, shape=(1024.0, 1024.0, 30.0)), 96) == [512]


def test_the_scans_own_size_is_that_across_the_axis_of_slices(abdomen):
    sizes = slice_sizes(abdomen(shape=(20.0, 160.0, 160.0), spacing=(5.0, 1.0, 1.0), slice_axis=0), 96)
    assert sizes == [96, 128, 160]
