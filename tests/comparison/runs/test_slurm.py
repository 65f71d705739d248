from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from fewlabel.comparison.runs.scheduler import do_runs
from fewlabel.comparison.runs.slurm import write_sbatch
from helpers.fake_runs import FakeCommands, fake_run

RUNS = [fake_run("supervised"), fake_run("cts without warm-up (a)"), fake_run("mcsc")]


@pytest.fixture
def python(tmp_path: Path) -> str:
    """Prints its words, one a line, in place of Python."""
    program = tmp_path / "my python"
    program.write_text('#!/bin/bash\nprintf \'%s\\n\' "$PYTHONPATH" "$@"\n')
    program.chmod(0o755)
    return str(program)


def test_each_task_does_one_of_the_runs_that_are_left(tmp_path: Path, python: str, commands: FakeCommands) -> None:
    out = tmp_path / "out of it"
    do_runs(RUNS[2:], out, commands=commands, report=lambda line: None)
    script = write_sbatch(RUNS, out, "validation", threads=4, processes=1, python=python)
    assert "#SBATCH --array 0-1\n" in script.read_text()
    for number in (0, 1):
        task = subprocess.run(
            ["bash", str(script)],
            env={**os.environ, "SLURM_ARRAY_TASK_ID": str(number), "PYTHONPATH": "/theirs"},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        path, *words = task.stdout.splitlines()
        assert path.endswith(":/theirs")
        assert words == ["-m", "fewlabel", "compare", "--out", str(out), "--only", RUNS[number].key, "--threads", "4"]


def test_the_head_of_the_script_has_threads_limit_and_split(tmp_path: Path) -> None:
    script = write_sbatch(RUNS, tmp_path, "test", threads=4, processes=2).read_text()
    assert "#SBATCH --array 0-2%2\n#SBATCH --cpus-per-task 4\n" in script
    assert script.rstrip().endswith("--split test")
    log = re.search(r"^#SBATCH --output (.+)$", script, re.MULTILINE)
    assert log is not None
    assert Path(log[1]).parent.is_dir()


def test_nothing_is_left_to_submit(tmp_path: Path, commands: FakeCommands) -> None:
    do_runs(RUNS, tmp_path, commands=commands, report=lambda line: None)
    with pytest.raises(ValueError, match="all 3 runs are finished; write the tables with --report_only true"):
        write_sbatch(RUNS, tmp_path, "validation", 1, 1)
