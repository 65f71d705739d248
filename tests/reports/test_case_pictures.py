from __future__ import annotations

import os

import numpy as np
import pytest
from matplotlib.image import imread

from fewlabel.reports import case_picture, informative_slices
from fewlabel.reports.case_pictures import case_figure, case_title


def volume(areas):
    labels = np.zeros((1, 20, len(areas)), dtype=int)
    for index, area in enumerate(areas):
        labels[0, :area, index] = 1
    return labels


def test_the_largest_area_and_the_quartiles_of_the_labeled_range_are_shown():
    # Labeled from 2 to 10: quartiles 4 and 8; the largest area lies in slice 5.
    assert informative_slices(volume([0, 0, 1, 2, 3, 9, 3, 3, 2, 2, 1, 0]), volume([0] * 12)) == [4, 5, 8]


def test_a_slice_is_shown_once_and_another_takes_its_place():
    # The largest area is the lower quartile itself; the middle of the range replaces it.
    assert informative_slices(volume([0, 0, 1, 2, 9, 3, 3, 3, 2, 2, 1, 0]), volume([0] * 12)) == [4, 6, 8]


def test_without_a_reference_the_prediction_decides_and_without_both_the_whole_range():
    prediction = volume([0, 0, 0, 1, 4, 1, 1, 1])
    assert informative_slices(volume([0] * 8), prediction) == [4, 5, 6]
    assert len(set(informative_slices(volume([0] * 8), volume([0] * 8)))) == 3


@pytest.mark.parametrize(("depth", "expected"), [(1, [0]), (2, [0, 1]), (3, [0, 1, 2])])
def test_a_thin_volume_shows_what_it_has(depth, expected):
    areas = [0] * depth
    areas[-1] = 5
    assert informative_slices(volume(areas), volume([0] * depth)) == expected


def test_a_case_is_three_panels_or_as_many_as_it_has_slices(case_view):
    assert sum(bool(axes.images) for axes in case_figure(case_view()).axes) == 3
    assert sum(bool(axes.images) for axes in case_figure(case_view(shape=(40, 30, 1), labeled=(0, 1))).axes) == 1


def test_the_crop_holds_every_labeled_pixel_of_both_maps(case_view):
    view = case_view(shape=(400, 300, 4), labeled=(0, 4))
    view.prediction[130, 100, 0] = 1  # a false positive far away must stay in the picture
    shown = case_figure(view).axes[0].images[1].get_array()
    assert np.count_nonzero(shown[..., 3]) == np.count_nonzero(view.prediction[..., 0])
    assert shown.shape[:2] != (400, 300)


def test_a_title_tells_rank_volume_and_dice(case_view):
    assert case_title(case_view(dice=0.71249)) == "Worst: patient001, mean Dice 0.712"
    assert case_title(case_view(rank="best", dice=float("nan"))) == "Best: patient001, no Dice"


def test_the_picture_of_several_cases_appears_whole(case_view, tmp_path):
    views = [case_view(), case_view("a$b$<c>", "best", shape=(40, 30, 1), labeled=(0, 1))]
    path = case_picture(views, tmp_path / "new" / "cases.png")
    height, width = imread(path).shape[:2]
    one = imread(case_picture(views[:1], tmp_path / "new" / "one.png")).shape
    assert width == one[1]
    assert height > 1.5 * one[0]
    assert sorted(os.listdir(tmp_path / "new")) == ["cases.png", "one.png"]


def test_a_case_with_nothing_labeled_is_drawn_in_full(case_view, tmp_path):
    empty = np.zeros((40, 30, 6), dtype=np.uint8)
    view = case_view(prediction=empty, reference=empty, dice=float("nan"))
    assert case_figure(view).axes[0].images[0].get_array().shape == (40, 30)
    assert case_picture([view], tmp_path / "empty.png").stat().st_size > 0


def test_no_case_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one CaseView"):
        case_picture([], tmp_path / "none.png")


def test_arrays_of_different_shapes_are_refused_with_the_name_of_the_volume(case_view):
    with pytest.raises(ValueError, match=r"Volume 'p7': .*\(H, W, D\).*drop the channel axis"):
        case_view("p7", image=np.zeros((1, 40, 30, 6)))
    with pytest.raises(ValueError, match=r"Volume 'p7': .*share one shape"):
        case_view("p7", image=np.zeros((40, 30, 5)))


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (1.0, 0.0, 1.0)])
def test_spacing_is_three_positive_numbers(case_view, spacing):
    with pytest.raises(ValueError, match="Volume 'patient001': spacing must be 3 positive numbers"):
        case_view(spacing=spacing)
