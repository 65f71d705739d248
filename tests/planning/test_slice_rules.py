from __future__ import annotations

import pytest

from fewlabel.planning.slice_rules import first_size, slice_sizes
from fewlabel.planning.structures import Structure


def test_sizes_go_from_that_of_small_json_to_the_scans_own(abdomen):
    assert slice_sizes(abdomen(), 96) == [96, 128, 160, 192, 224, 256]
    assert slice_sizes(abdomen(shape=(1024.0, 1024.0, 30.0)), 96)[-1] == 512


def test_the_scans_own_size_is_that_across_the_axis_of_slices(abdomen):
    sizes = slice_sizes(abdomen(shape=(20.0, 160.0, 160.0), spacing=(5.0, 1.0, 1.0), slice_axis=0), 96)
    assert sizes == [96, 128, 160]


@pytest.mark.parametrize(
    ("share", "size"),
    [
        (0.1, 128),  # 12 / 0.1 = 120 pixels
        (0.09375, 128),  # exactly 128: not rounded up
        (0.8, 96),  # large structures ask for no more than small.json has
        (0.01, 256),  # no slice is larger than the scans
    ],
)
def test_the_first_size_shows_twelve_pixels_of_the_smallest_structure(abdomen, share, size):
    scans = abdomen(structures=(Structure("kidney", 30.0, share),))
    sizes = slice_sizes(scans, 96)
    assert sizes[first_size(scans, sizes)] == size


def test_the_smallest_share_counts_and_not_the_smallest_diameter(abdomen):
    # 12 / 0.05 = 240
    scans = abdomen(structures=(Structure("near", 10.0, 0.3), Structure("far", 20.0, 0.05)))
    sizes = slice_sizes(scans, 96)
    assert sizes[first_size(scans, sizes)] == 256
