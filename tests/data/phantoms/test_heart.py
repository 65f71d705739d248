from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_fill_holes

from fewlabel.data.phantoms.heart import LEFT_VENTRICLE, MYOCARDIUM, RIGHT_VENTRICLE, PhantomCase, cardiac_case


@pytest.fixture(scope="module")
def drawn() -> list[PhantomCase]:
    return [cardiac_case(np.random.default_rng([0, index])) for index in range(24)]


def test_every_case_holds_every_class(drawn: list[PhantomCase]) -> None:
    for case in drawn:
        assert set(np.unique(case.label)) == {0, 1, 2, 3}


def test_the_myocardium_encloses_the_left_ventricle(drawn: list[PhantomCase]) -> None:
    for case in drawn:
        for k in range(case.label.shape[2]):
            cavity, wall = case.label[..., k] == LEFT_VENTRICLE, case.label[..., k] == MYOCARDIUM
            assert not (cavity & ~binary_fill_holes(wall)).any()
            rim = binary_dilation(cavity) & ~cavity
            assert (case.label[..., k][rim] == MYOCARDIUM).all()


def test_the_right_ventricle_touches_the_myocardium_and_never_the_left_ventricle(drawn: list[PhantomCase]) -> None:
    for case in drawn:
        pool = case.label == RIGHT_VENTRICLE
        cross = np.zeros((3, 3, 3), bool)
        cross[:, 1, 1] = cross[1, :, 1] = True  # neighbors within the slice
        rim = binary_dilation(pool, cross) & ~pool
        assert (case.label[rim] == MYOCARDIUM).sum() > 20
        assert not (case.label[rim] == LEFT_VENTRICLE).any()


def test_the_heart_lies_inside_the_image(drawn: list[PhantomCase]) -> None:
    for case in drawn:
        border = np.ones(case.label.shape[:2], bool)
        border[1:-1, 1:-1] = False
        assert not case.label[border].any()


def test_pose_and_anatomy_vary_from_case_to_case(drawn: list[PhantomCase]) -> None:
    angles, sizes = [], []
    for case in drawn:
        left, right = ((case.label == label).nonzero() for label in (LEFT_VENTRICLE, RIGHT_VENTRICLE))
        offset = np.array([r.mean() - c.mean() for r, c in zip(right, left, strict=True)])
        angles.append(np.arctan2(offset[1], offset[0]))
        sizes.append(len(left[0]) * np.prod(case.spacing))
    quarters = np.histogram(angles, bins=4, range=(-np.pi, np.pi))[0]
    assert (quarters >= 2).all()  # the right ventricle lies on every side of the left one
    assert np.percentile(sizes, 90) > 2 * np.percentile(sizes, 10)


def test_contrast_varies_from_case_to_case_but_blood_stays_brighter_than_muscle(drawn: list[PhantomCase]) -> None:
    ratios = []
    for case in drawn:
        muscle, blood = (np.median(case.image[case.label == label]) for label in (MYOCARDIUM, LEFT_VENTRICLE))
        ratios.append(muscle / blood)
    assert max(ratios) < 1
    assert max(ratios) > 2 * min(ratios)
