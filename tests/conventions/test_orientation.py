from __future__ import annotations

import itertools
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch

from fewlabel.conventions.orientation import (
    Reorientation,
    check_slice_axis,
    find_reorientation,
    find_slice_axis,
    orientation_code,
)

CODES = ["".join(code) for axes in itertools.permutations(("RL", "AP", "SI")) for code in itertools.product(*axes)]


def stored_as(code: str, spacing: tuple[float, float, float] = (1.0, 2.0, 5.0)) -> nib.Nifti1Image:
    """A volume whose voxels are all different, stored in an orientation."""
    image = nib.Nifti1Image(np.arange(4 * 5 * 6, dtype=np.int32).reshape(4, 5, 6), np.diag([*spacing, 1.0]))
    order = nib.orientations.ornt_transform(
        nib.io_orientation(image.affine), nib.orientations.axcodes2ornt(tuple(code))
    )
    return image.as_reoriented(order)


@pytest.mark.parametrize("code", CODES)
def test_every_orientation_is_brought_to_ras_as_nibabel_does_it(code: str) -> None:
    image = stored_as(code)
    order = find_reorientation(image.affine, image.shape)
    expected = nib.as_closest_canonical(image)
    np.testing.assert_array_equal(order.apply(torch.from_numpy(np.array(image.dataobj))), expected.dataobj)
    np.testing.assert_array_equal(order.apply_to_array(np.array(image.dataobj)), expected.dataobj)
    np.testing.assert_allclose(order.affine(image.affine, image.shape), expected.affine)


@pytest.mark.parametrize("slice_axis", [None, "auto", 0, 1, 2])
@pytest.mark.parametrize("code", CODES)
def test_undoing_gives_the_stored_volume_back(code: str, slice_axis: Any) -> None:
    image = stored_as(code)
    order = find_reorientation(image.affine, image.shape, slice_axis)
    volume = torch.from_numpy(np.array(image.dataobj))[None, None].expand(2, 3, -1, -1, -1)
    assert torch.equal(order.undo(order.apply(volume)), volume)


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize(("spacing", "slice_axis"), [((8.0, 1.5, 1.5), 0), ((1.5, 8.0, 1.5), 1), ((1.5, 1.5, 8.0), 2)])
def test_slices_are_cut_along_the_coarsest_spacing_however_a_volume_is_stored(
    code: str, spacing: tuple[float, float, float], slice_axis: int
) -> None:
    image = stored_as(code, spacing)
    assert find_slice_axis(image.affine, image.shape) == slice_axis
    order = find_reorientation(image.affine, image.shape, "auto")
    affine = order.affine(image.affine, image.shape)
    assert np.linalg.norm(affine[:3, :3], axis=0).tolist() == [1.5, 1.5, 8.0]
    # what is left runs in the directions of RAS, in its order
    assert "".join(nib.aff2axcodes(affine)) == {0: "ASR", 1: "RSA", 2: "RAS"}[slice_axis]


@pytest.mark.parametrize(
    ("spacing", "shape", "expected"),
    [
        ((1.0, 1.0, 1.0), (9, 9, 9), 2),
        ((1.4, 1.0, 1.0), (9, 9, 9), 2),  # not clearly coarser
        ((1.5, 1.0, 1.0), (9, 9, 9), 0),
        ((5.0, 5.0, 1.0), (9, 9, 9), 2),  # two are coarse
        ((1.0, 1.0, 1.0), (1, 9, 9), 0),  # a single slice
        ((1.0, 1.0, 8.0), (9, 1, 9), 1),
    ],
)
def test_slices_are_axial_unless_a_spacing_is_clearly_coarser_or_there_is_one_slice(
    spacing: tuple[float, ...], shape: tuple[int, ...], expected: int
) -> None:
    assert find_slice_axis(np.diag([*spacing, 1.0]), shape) == expected


def test_an_axis_that_is_asked_for_wins_over_the_spacing() -> None:
    assert find_reorientation(np.diag([8.0, 1.5, 1.5, 1.0]), (4, 5, 6), 2) == Reorientation()


def test_oblique_axes_go_to_the_closest_ones() -> None:
    angle = np.deg2rad(30)
    affine = np.eye(4)
    affine[:2, :2] = [[-np.cos(angle), np.sin(angle)], [-np.sin(angle), -np.cos(angle)]]
    assert find_reorientation(affine, (4, 5, 6)) == Reorientation(flips=(True, True, False))
    assert orientation_code(affine) == "LPS oblique"
    assert orientation_code(np.diag([-1.0, -1.0, 8.0, 1.0])) == "LPS"


@pytest.mark.parametrize(("given", "expected"), [("auto", "auto"), (0, 0), ("2", 2)])
def test_the_words_of_a_command_line_are_axes(given: Any, expected: Any) -> None:
    assert check_slice_axis(given) == expected


@pytest.mark.parametrize("given", [3, -1, "z", True, None, 1.0])
def test_what_is_no_axis_is_refused(given: Any) -> None:
    with pytest.raises(ValueError, match='slice_axis must be "auto"'):
        check_slice_axis(given)
