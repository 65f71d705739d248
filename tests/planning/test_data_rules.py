from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fewlabel.planning.data_rules import data_settings
from fewlabel.planning.template import Template, read_template


def values(fingerprint, template) -> dict[str, Any]:
    return {setting.key: setting.value for setting in data_settings(fingerprint, template)}


def with_keys(name: str, **keys: Any) -> Template:
    template = read_template(name)
    return replace(template, train={**template.train, **keys})


def without_keys(name: str, *keys: str) -> Template:
    template = read_template(name)
    return replace(template, train={key: value for key, value in template.train.items() if key not in keys})


def test_slices_are_not_mirrored_where_labels_name_sides(abdomen):
    assert values(abdomen(), without_keys("supervised", "mirror"))["train#augmentation#flips"] is False


def test_patches_are_not_mirrored_where_labels_name_sides(abdomen):
    assert values(abdomen(), without_keys("vnet", "mirror"))["train#augmentation#transforms#3#prob"] == 0.0


def test_a_bundle_with_a_key_for_mirroring_is_told_by_it_alone(abdomen):
    found = values(abdomen(), with_keys("supervised", mirror="auto"))
    assert found["mirror"] is False
    assert "train#augmentation#flips" not in found


def test_without_sides_mirroring_is_left_alone(atrium):
    assert not [key for key in values(atrium(), read_template("vnet")) if "mirror" in key or "augmentation" in key]


def test_the_number_of_classes_is_the_datasets_where_the_bundle_has_a_number(abdomen):
    assert values(abdomen(), with_keys("supervised", num_classes=4))["num_classes"] == 4
    assert values(abdomen(), with_keys("supervised", num_classes=9))["num_classes"] == 4
    assert "num_classes" not in values(abdomen(), with_keys("supervised", num_classes="$@cohort.count()"))


def test_hounsfield_units_are_cut_to_the_window_of_labeled_voxels(abdomen):
    ct = abdomen(intensities=(-1024.0, -1000.0, 900.0, 1500.0), foreground=(-80.04, 210.0))
    found = values(ct, with_keys("supervised", intensity={"mode": "minmax"}))
    assert found["intensity"] == {"mode": "window", "low": -80.0, "high": 210.0}


@pytest.mark.parametrize(("highest", "expected"), [(399.0, None), (401.0, "percentile")])
def test_extreme_voxels_that_span_more_than_all_others_are_clipped(abdomen, highest, expected):
    mr = abdomen(intensities=(0.0, 0.0, 200.0, highest))
    found = values(mr, with_keys("supervised", intensity={"mode": "minmax"}))
    assert found.get("intensity", {}).get("mode") == expected


def test_a_bundle_without_a_choice_of_intensities_is_given_none(abdomen):
    ct = abdomen(intensities=(-1024.0, -1000.0, 900.0, 1500.0))
    assert "intensity" not in values(ct, without_keys("supervised", "intensity"))
