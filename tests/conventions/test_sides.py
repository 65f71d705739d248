from __future__ import annotations

import pytest

from fewlabel.conventions.sides import sided_labels


@pytest.mark.parametrize(
    "name",
    [
        "left kidney", "Right Kidney", "kidney_left", "kidney.R", "l_lung", "LeftHippocampus", "rightfemur", "lung-lt",
        "Left-Lateral-Ventricle", "ren sinister", "lh.cortex", "upper lobe of the right lung", "left",
    ],
)  # fmt: skip
def test_a_name_with_a_side_is_found(name: str) -> None:
    assert sided_labels(["background", name, "liver"]) == [name]


@pytest.mark.parametrize(
    "name",
    [
        "left ventricle", "RIGHT_VENTRICLE", "left atrium", "left ventricular cavity", "wall of the left ventricle",
        "right atrial appendage", "LV", "RV", "myocardium", "class 1", "liver", "lung", "L1 vertebra", "cleft", "aorta",
    ],
)  # fmt: skip
def test_a_chamber_of_the_heart_and_a_name_without_a_side_are_not(name: str) -> None:
    assert sided_labels(["background", name]) == []


def test_glued_letters_count_in_pairs_only() -> None:
    assert sided_labels(["lkid", "rkid", "liver", "lv", "rv", "lva", "rva"]) == ["lkid", "rkid"]
    assert sided_labels(["lkid", "liver"]) == []
