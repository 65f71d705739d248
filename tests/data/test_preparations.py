from __future__ import annotations

import inspect
import subprocess
import sys
from importlib import import_module

import pytest

from fewlabel.data.preparations import PREPARATIONS


@pytest.mark.parametrize("place", PREPARATIONS.values())
def test_every_preparation_is_a_function_with_a_report(place: str) -> None:
    module, _, name = place.partition(":")
    assert "report" in inspect.signature(getattr(import_module(module), name)).parameters


def test_checking_and_preparing_start_without_torch_and_monai() -> None:
    modules = [place.partition(":")[0] for place in PREPARATIONS.values()]
    modules += ["fewlabel.data.checks.dataset", "fewlabel.data.preparations", "fewlabel.cli"]
    program = f"import sys, {', '.join(modules)}; print([name in sys.modules for name in ('torch', 'monai')])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[False, False]"
