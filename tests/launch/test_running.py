from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fewlabel.launch import long_form
from helpers.paths import ROOT, environment

SAYING = """
import json, sys
print(json.dumps([sys.argv[1:], sys.path[0], __name__, sys.modules["__main__"].__spec__.name, "torch" in sys.modules]))
"""
SCRIPT = "import sys\nfrom fewlabel.cli import main\nsys.exit(main())\n"  # what pip installs as `fewlabel`


@pytest.fixture
def stand_in(tmp_path: Path) -> Path:
    """A folder with a `monai.bundle` whose `__main__` is still to be written."""
    package = tmp_path / "standin" / "monai" / "bundle"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package.parent / "__init__.py").touch()
    (tmp_path / "cwd").mkdir()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "fewlabel").write_text(SCRIPT)
    return package / "__main__.py"


def call(stand_in: Path, *words: str) -> subprocess.CompletedProcess[str]:
    folder = stand_in.parents[3]
    paths = environment(PYTHONPATH=f"{folder / 'standin'}:{ROOT / 'shared'}")
    return subprocess.run(
        [sys.executable, *words], cwd=folder / "cwd", env=paths, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("started", ["script", "module"])
def test_monai_is_started_as_by_its_own_command_line(started: str, stand_in: Path) -> None:
    stand_in.write_text(SAYING)
    fewlabel = [str(stand_in.parents[3] / "bin" / "fewlabel")] if started == "script" else ["-m", "fewlabel"]
    options = ["--dataset_dir", "a b/心", "--paper#steps", "10", "--patch", "[1, 2]"]
    ours = call(stand_in, *fewlabel, "train", "supervised", "--with", "small", *options)
    theirs = call(stand_in, "-m", "monai.bundle", *long_form("train", ["supervised", "--with", "small", *options]))
    said: list[Any] = json.loads(ours.stdout)
    assert said == json.loads(theirs.stdout)
    assert said[0][3:] == options
    assert said[1:] == [str(stand_in.parents[3] / "cwd"), "__main__", "monai.bundle.__main__", False]


@pytest.mark.parametrize("end", ["sys.exit(3)", "raise ValueError('bad')", "raise KeyboardInterrupt", "pass"])
def test_a_run_ends_as_it_does_in_the_long_form(end: str, stand_in: Path) -> None:
    stand_in.write_text(f"import sys\n{end}\n")
    ours = call(stand_in, "-m", "fewlabel", "train", "supervised")
    theirs = call(stand_in, "-m", "monai.bundle", "run")
    assert ours.returncode == theirs.returncode
    assert ours.stderr.splitlines()[-1:] == theirs.stderr.splitlines()[-1:]
    assert (ours.returncode == 0) == (end == "pass")
