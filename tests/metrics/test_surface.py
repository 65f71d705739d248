from __future__ import annotations

import numpy as np
import pytest

from fewlabel.metrics import surface, surface_distances


def test_the_surface_of_a_cube_is_what_remains_without_its_inside():
    cube = np.zeros((9, 9, 9), dtype=bool)
    cube[2:7, 2:7, 2:7] = True
    inside = np.zeros_like(cube)
    inside[3:6, 3:6, 3:6] = True
    np.testing.assert_array_equal(surface(cube), cube & ~inside)
    assert surface(cube).sum() == 5**3 - 3**3


def test_a_diagonal_neighbor_does_not_make_a_surface():
    square = np.ones((5, 5), dtype=bool)
    square[0, 0] = False
    # Only a face counts: the voxel (1, 1) touches the missing corner through a corner, so it stays inside.
    assert not surface(square)[1, 1]
    assert surface(square)[0, 1]


def test_the_border_of_the_array_is_surface():
    assert surface(np.ones((4, 6), dtype=bool)).sum() == 4 * 6 - 2 * 4


def test_each_direction_holds_one_distance_per_surface_voxel():
    p, r = np.zeros((2, 20, 30), dtype=bool)
    p[4:9, 4:9], r[10:12, 20] = True, True
    to_reference, to_prediction = surface_distances(p, r)
    assert (len(to_reference), len(to_prediction)) == (16, 2)
    # Nearest corner of the square: (8, 8). From (10, 20): 2 and 12 voxels; from (11, 20): 3 and 12.
    np.testing.assert_allclose(np.sort(to_prediction), [np.hypot(2, 12), np.hypot(3, 12)])


@pytest.mark.parametrize("name", ["prediction", "reference"])
def test_an_empty_mask_has_no_distance(name):
    masks = {"prediction": np.ones((3, 3), dtype=bool), "reference": np.ones((3, 3), dtype=bool)}
    masks[name] = np.zeros((3, 3), dtype=bool)
    with pytest.raises(ValueError, match=f"The {name} is empty"):
        surface_distances(**masks)
