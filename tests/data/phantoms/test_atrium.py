from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, label

from fewlabel.data.phantoms.atrium import LABELS, atrium_case
from fewlabel.data.phantoms.cohort import PHANTOMS
from fewlabel.data.phantoms.heart import PhantomCase


@pytest.fixture(scope="module")
def drawn() -> list[PhantomCase]:
    return [atrium_case(np.random.default_rng([0, index])) for index in range(12)]


def milliliters(case: PhantomCase) -> float:
    return float(case.label.sum() * np.prod(case.spacing) / 1000)


def test_the_phantom_is_known_under_its_name(drawn: list[PhantomCase]) -> None:
    again = PHANTOMS["atrium"].draw(np.random.default_rng([0, 3]))
    np.testing.assert_array_equal(again.image, drawn[3].image)
    np.testing.assert_array_equal(again.label, drawn[3].label)
    assert PHANTOMS["atrium"].labels == LABELS == {"background": 0, "left atrium": 1}


def test_the_atrium_is_one_piece_inside_the_image(drawn: list[PhantomCase]) -> None:
    for case in drawn:
        assert set(np.unique(case.label)) == {0, 1}
        parts, count = label(case.label)
        assert np.bincount(parts.ravel())[1:].max() > 0.99 * case.label.sum(), f"{count} pieces"
        border = np.ones(case.label.shape, bool)
        border[1:-1, 1:-1, 1:-1] = False
        assert not case.label[border].any()


def test_volumes_are_isotropic_and_small_enough_for_a_demonstration(drawn: list[PhantomCase]) -> None:
    for case in drawn:
        assert all(56 <= side <= 72 for side in case.image.shape[:2])
        assert 36 <= case.image.shape[2] <= 44
        assert len(set(case.spacing)) == 1
        assert (case.image.dtype, case.label.dtype) == (np.int16, np.uint8)


def test_size_place_and_contrast_vary_from_case_to_case(drawn: list[PhantomCase]) -> None:
    sizes = [milliliters(case) for case in drawn]
    assert max(sizes) > 1.4 * min(sizes)
    centers = np.array([np.argwhere(case.label).mean(0) / case.label.shape for case in drawn])
    assert (centers.std(0) > 0.02).all()
    contrast = [np.median(c.image[c.label == 1]) / np.median(c.image[c.label == 0]) for c in drawn]
    assert min(contrast) > 1.1
    assert max(contrast) > 1.5 * min(contrast)


def test_brightness_alone_does_not_find_the_atrium(drawn: list[PhantomCase]) -> None:
    """Vessels and the ventricle are as bright; the best threshold of each case keeps much that is not the atrium."""
    best = []
    for case in drawn:
        levels = np.quantile(case.image, np.linspace(0.5, 0.995, 40))
        masks = [case.image > level for level in levels]
        best.append(max(2 * (m & (case.label == 1)).sum() / (m.sum() + case.label.sum()) for m in masks))
    assert np.mean(best) < 0.75


def test_the_atrium_touches_blood_as_bright_as_itself(drawn: list[PhantomCase]) -> None:
    """Veins go on beyond the label, and the valve's plane is not seen."""
    for case in drawn:
        inside = case.label == 1
        rim = binary_dilation(inside) & ~inside
        assert (case.image[rim] > 0.85 * np.median(case.image[inside])).mean() > 0.02
