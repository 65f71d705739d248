from __future__ import annotations

from torch import nn

from fewlabel.sampling import ClassBank, MapBank, find_banks


def test_banks_are_found_wherever_they_lie_and_under_their_names() -> None:
    class_bank, map_bank = ClassBank(2, 3, capacity=4), MapBank(capacity=2)
    module = nn.ModuleDict({"a": nn.ModuleDict({"b": class_bank}), "c": nn.Linear(1, 1), "d": map_bank})

    assert find_banks(module) == {"a.b": class_bank, "d": map_bank}
    assert find_banks(class_bank) == {"": class_bank}
    assert find_banks(nn.Linear(1, 1)) == {}
