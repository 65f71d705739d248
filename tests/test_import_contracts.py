"""The contracts between subpackages hold for a method that nobody has listed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from helpers.paths import ROOT, environment

NEWCOMER = """\
import ignite

from fewlabel.engines import GaussianRamp
from fewlabel.methods.base import Method
from fewlabel.methods.mcsc_v2.pixels import Pixels
"""


def test_a_new_method_is_held_to_every_contract(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "shared", tmp_path / "shared", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "shared" / "fewlabel" / "methods" / "newcomer.py").write_text(NEWCOMER)
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    found = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**environment(), "PYTHONPATH": str(tmp_path / "shared")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 1
    assert "Subpackages import downward only BROKEN" in found.stdout
    assert "Methods do not import each other BROKEN" in found.stdout
    assert "Only engines and handlers know Ignite BROKEN" in found.stdout
    # the interface is theirs to import
    assert "methods.newcomer -> fewlabel.methods.base" not in found.stdout
