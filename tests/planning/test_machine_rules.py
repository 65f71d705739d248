from __future__ import annotations

from dataclasses import replace

import pytest

from fewlabel.planning import read_template
from fewlabel.planning.machine_rules import machine_settings


@pytest.mark.parametrize("bundle", ["supervised", "vnet"])
def test_bfloat16_is_planned_where_the_machine_and_the_bundle_have_it(bundle):
    template = read_template(bundle)
    without = replace(template, train={key: value for key, value in template.train.items() if key != "amp"})
    assert {each.key: each.value for each in machine_settings(template, True)} == {"amp": "auto"}
    assert not list(machine_settings(template, False))
    assert not list(machine_settings(without, True))
