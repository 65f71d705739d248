from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fewlabel.planning.data_rules import data_settings
from fewlabel.planning.fingerprint import Fingerprint
from fewlabel.planning.template import Template, read_template

CT = (-1024.0, -1000.0, 900.0, 1500.0)


def values(fingerprint: Fingerprint, template: Template) -> dict[str, Any]:
    return {setting.key: setting.value for setting in data_settings(fingerprint, template)}


def without(name: str, *keys: str) -> Template:
    template = read_template(name)
    return replace(template, train={key: value for key, value in template.train.items() if key not in keys})


@pytest.mark.parametrize("bundle", ["supervised", "vnet"])
def test_nothing_is_mirrored_where_labels_name_sides(abdomen, bundle):
    assert values(abdomen(), read_template(bundle)) == {"mirror": False}


def test_without_sides_and_extremes_the_bundles_own_settings_stay(atrium):
    assert values(atrium(), read_template("vnet")) == {}


@pytest.mark.parametrize("bundle", ["supervised", "vnet"])
def test_hounsfield_units_are_cut_to_a_window_about_the_classes(atrium, bundle):
    found = values(atrium(intensities=(CT,), foreground=(-80.04, 210.0)), read_template(bundle))
    assert found == {"intensity": {"mode": "window", "low": -180.0, "high": 310.0}}


@pytest.mark.parametrize(("highest", "expected"), [(399.0, None), (401.0, "percentile")])
def test_extreme_voxels_that_span_more_than_all_others_are_clipped(atrium, highest, expected):
    found = values(atrium(intensities=((0.0, 0.0, 200.0, highest),)), read_template("supervised"))
    assert found.get("intensity", {}).get("mode") == expected


def test_one_channel_with_extreme_voxels_is_enough(atrium):
    channels = ((0.0, 0.0, 200.0, 210.0), (0.0, 0.0, 200.0, 900.0))
    assert values(atrium(intensities=channels), read_template("supervised"))["intensity"]["mode"] == "percentile"


def test_standardized_volumes_are_left_standardized(atrium):
    assert values(atrium(intensities=((0.0, 0.0, 200.0, 900.0),)), read_template("vnet")) == {}


def test_a_bundle_without_the_keys_is_given_none(abdomen):
    assert values(abdomen(intensities=(CT,)), without("supervised", "intensity", "mirror")) == {}
