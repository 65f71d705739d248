from __future__ import annotations

import pytest

from fewlabel.bundle.verify.expressions import strange_words


@pytest.mark.parametrize(
    "expression",
    [
        "$import torch",
        "$import monai.transforms as mt",
        "$from fewlabel.networks import UNet",
        "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        "$@bundle_root + '/eval'",
        "$[@settings['size']] * 2",
        "$@train#trainer#max_epochs * @settings['steps']",
        "$@_meta_::name",
        "${**@settings, 'labeled': len(@train#dataset#data)}",
        "$[x['image'] for x in @data if x]",
        "$(lambda x: x[0])(@data)",
        "@network",
        "a sentence with os.system in it",
    ],
)
def test_what_bundles_are_made_of_is_nothing_strange(expression: str) -> None:
    assert list(strange_words({"key": [expression]})) == []


@pytest.mark.parametrize(
    ("expression", "word"),
    [
        ("$import os", "import os"),
        ("$from subprocess import run", "import subprocess"),
        ("$import requests as torch", "import requests"),
        ("$__import__('os').system('true')", "__import__"),
        ("$().__class__.__bases__", ".__class__"),
        ("$open('/etc/passwd').read()", "open"),
        ("$eval('1')", "eval"),
        ("$getattr(torch, 'load')", "getattr"),
        ("$torch.load('x.pt', weights_only=False)", ".load"),
        ("$torch.hub.load('a', 'b')", ".hub"),
        ("$monai.os.system('true')", ".system"),
        ("$import torch; import os", "'import torch; import os' is no expression"),
        ("$(", "is no expression"),
        ("$" + "(" * 5000 + ")" * 5000, "is no expression"),
    ],
)
def test_anything_else_is_named(expression: str, word: str) -> None:
    assert any(word in found for found in strange_words({"a": {"b": [expression]}}))


@pytest.mark.parametrize(
    ("target", "strange"),
    [("UNet", False), ("fewlabel.networks.UNet", False), ("torch.optim.AdamW", False), ("os.system", True),
     ("torch.load", True), ("scripts.net.Net", True), ("$__import__('os').system", True)],
)  # fmt: skip
def test_targets_are_looked_at_too(target: str, strange: bool) -> None:
    assert bool(list(strange_words({"net": {"_target_": target}}))) == strange
