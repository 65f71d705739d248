from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from helpers.paths import ROOT


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--no-print-directory", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def test_make_alone_lists_every_target_with_a_sentence() -> None:
    shown = make().stdout
    for target in ("demo", "test", "test-slow", "test-label", "check", "bench", "configs", "bundles", "docs", "clean"):
        assert f"  make {target} " in shown


@pytest.mark.parametrize("target", ["demo", "test", "test-slow", "check", "bench", "configs", "bundles", "docs"])
def test_every_target_sets_up_its_own_environment_on_a_fresh_machine(target: str, tmp_path: Path) -> None:
    planned = make("--dry-run", target, f"VENV={tmp_path / 'venv'}").stdout
    assert f"-m venv {tmp_path / 'venv'}" in planned
    assert "--editable ." in planned
    assert ("[dev]" in planned) == (target not in {"demo", "configs", "bundles"})


def test_monai_label_gets_an_environment_of_its_own(tmp_path: Path) -> None:
    planned = make("--dry-run", "test-label", f"LABEL_VENV={tmp_path / 'venv'}").stdout
    assert f"-m venv {tmp_path / 'venv'}" in planned
    assert planned.index("torch==") < planned.index("tests/label/requirements.txt") < planned.index("monailabel==")
    assert "--editable" not in planned


@pytest.mark.parametrize("version", [(3, 9, 18), (3, 13, 0)])
def test_another_python_is_refused_with_the_cure_before_anything_is_made(
    version: tuple[int, int, int], tmp_path: Path
) -> None:
    python = tmp_path / "python"
    pretend = f"import sys; sys.version_info = {version}; exec(sys.argv[1])"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{pretend}" "$2"\n')
    python.chmod(0o755)
    done = make("demo", f"VENV={tmp_path / 'venv'}", f"PYTHON={python}")
    assert done.returncode != 0
    assert "fewlabel needs Python 3.10, 3.11 or 3.12" in done.stderr
    assert f"is {version[0]}.{version[1]}: name another one, for instance make demo PYTHON=python3.11" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_every_dependency_has_one_tested_version_on_each_python() -> None:
    from packaging.requirements import Requirement

    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    pins = [Requirement(line) for line in lines]
    for python in ("3.10", "3.11", "3.12"):
        names = [pin.name for pin in pins if pin.marker is None or pin.marker.evaluate({"python_version": python})]
        assert len(names) == len(set(names))
        assert {"torch", "monai", "numpy", "pytest", "ruff", "mypy", "setuptools"} <= set(names)
    assert all(str(pin.specifier).startswith("==") for pin in pins)
