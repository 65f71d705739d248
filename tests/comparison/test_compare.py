"""A whole comparison, of runs that cost nothing."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fewlabel.comparison.compare import compare
from helpers.fake_runs import FakeCommands
from helpers.paths import environment

GRID: dict[str, Any] = {"bundles": "supervised,cts", "labeled_cases": "3", "seeds": "2", "dataset_dir": "/data/mine"}
KEYS = [f"mine/{bundle}/labeled_3/seed_{seed}" for seed in (0, 1) for bundle in ("supervised", "cts")]
WRITTEN = {"compare.md", "compare.html", "runs.csv", "scores.csv", "lift.png", "lift.svg", "comparison.json"}
_PROGRAM = """
import sys
from pathlib import Path
from fewlabel.comparison.compare import compare
from helpers.fake_runs import FakeCommands
out, journal, hanging = sys.argv[1:]
commands = FakeCommands(Path(journal), {hanging: "hangs"})
grid = {"bundles": "supervised,cts", "labeled_cases": "3", "seeds": "2", "dataset_dir": "/data/mine"}
compare(out, grid, commands=commands)
"""


@pytest.fixture
def commands(tmp_path: Path) -> FakeCommands:
    return FakeCommands(tmp_path / "journal", dice={"cts": 0.55})


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_file()}


def test_it_ends_with_tables_a_page_and_a_picture(tmp_path: Path, commands: FakeCommands) -> None:
    page = compare(tmp_path / "out", GRID, command="fewlabel compare --bundles supervised,cts", commands=commands)
    assert files(tmp_path / "out") == WRITTEN
    text = page.read_text()
    assert "```text\nfewlabel compare --bundles supervised,cts\n```" in text
    assert "| 3 | supervised | 2 | 0.555 ± 0.071 | – | 2.0 |" in text
    assert "| 3 | cts | 2 | 0.605 ± 0.071 | +0.050 [+0.050, +0.050] | 2.0 |" in text
    assert "Comparison, validation cases" in (tmp_path / "out" / "compare.html").read_text()


def test_killed_and_started_again_it_repeats_nothing_that_was_finished(tmp_path: Path, commands: FakeCommands) -> None:
    out = tmp_path / "out"
    words = [sys.executable, "-c", _PROGRAM, str(out), str(commands.journal), KEYS[2]]
    killed = subprocess.Popen(words, env=environment())
    until = time.monotonic() + 120
    while f"{KEYS[2]} hangs" not in commands.calls():
        assert killed.poll() is None, "it ended by itself"
        assert time.monotonic() < until
        time.sleep(0.02)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    before = {key: (out / "runs" / key / "train.json").stat().st_mtime_ns for key in KEYS[:2]}
    compare(out, GRID, commands=commands)
    calls = commands.calls()
    assert calls[:4] == [*KEYS[:3], f"{KEYS[2]} hangs"]
    # A killed comparison's run may hold its folder a moment longer: the next run is then begun first.
    assert sorted(calls[4:]) == sorted([f"{KEYS[2]} resume", KEYS[3]])
    assert before == {key: (out / "runs" / key / "train.json").stat().st_mtime_ns for key in KEYS[:2]}
    assert "| 3 | cts | 2 |" in (out / "compare.md").read_text()


def test_asked_to_end_it_stops_its_runs_first(tmp_path: Path, commands: FakeCommands) -> None:
    words = [sys.executable, "-c", _PROGRAM, str(tmp_path / "out"), str(commands.journal), KEYS[0]]
    process = subprocess.Popen(words, env=environment())
    while f"{KEYS[0]} hangs" not in commands.calls():
        time.sleep(0.02)
    process.terminate()
    assert process.wait(60) == 128 + signal.SIGTERM
    compare(tmp_path / "out", GRID, only=KEYS[0], commands=commands)
    assert commands.calls()[-1] == f"{KEYS[0]} resume"


def test_without_bundles_it_goes_on_with_what_the_folder_holds(tmp_path: Path, commands: FakeCommands) -> None:
    compare(tmp_path / "out", GRID, minutes=0, commands=commands)
    assert commands.calls() == []
    compare(tmp_path / "out", commands=commands)
    assert commands.calls() == KEYS


def test_a_comparison_grows_by_what_is_asked_for_next(tmp_path: Path, commands: FakeCommands) -> None:
    compare(tmp_path / "out", GRID, commands=commands)
    page = compare(tmp_path / "out", GRID | {"bundles": "mcsc", "seeds": 1}, commands=commands)
    assert commands.calls() == [*KEYS, "mine/mcsc/labeled_3/seed_0"]
    assert all(f"| 3 | {method} |" in page.read_text() for method in ("supervised", "cts", "mcsc"))


def test_tables_are_written_again_from_the_csv_files_alone(tmp_path: Path, commands: FakeCommands) -> None:
    page = compare(tmp_path / "out", GRID, command="fewlabel compare ...", commands=commands)
    kept = tmp_path / "committed"
    kept.mkdir()
    for name in ("runs.csv", "scores.csv", "comparison.json"):
        shutil.copy(tmp_path / "out" / name, kept)
    assert compare(kept, report_only=True).read_text() == page.read_text()
    assert files(kept) == WRITTEN


def test_new_runs_keep_the_rows_of_runs_whose_folders_are_gone(tmp_path: Path, commands: FakeCommands) -> None:
    compare(tmp_path / "out", GRID, commands=commands)
    rows = {name: (tmp_path / "out" / name).read_text().splitlines() for name in ("runs.csv", "scores.csv")}
    kept = tmp_path / "kept"
    kept.mkdir()
    for name in ("runs.csv", "scores.csv", "comparison.json"):
        shutil.copy(tmp_path / "out" / name, kept)
    compare(kept, only=KEYS[1], commands=commands)
    compare(kept, report_only=True)
    for name, before in rows.items():
        after = (kept / name).read_text().splitlines()
        assert len(after) == len(before)
        again = "mine,cts,3,0,"
        assert {row for row in after if not row.startswith(again)} == {
            row for row in before if not row.startswith(again)
        }


def test_scores_of_test_cases_lie_beside_those_of_validation(tmp_path: Path, commands: FakeCommands) -> None:
    compare(tmp_path / "out", GRID, commands=commands)
    page = compare(tmp_path / "out", GRID, split="test", commands=commands)
    assert page.name == "compare_test.md"
    assert "validation cases" not in page.read_text()
    assert commands.calls() == [*KEYS, *(f"{key} test" for key in KEYS)]
    with open(tmp_path / "out" / "scores_test.csv", newline="") as file:
        assert {row["split"] for row in csv.DictReader(file)} == {"test"}


def test_one_run_alone_writes_no_tables_that_others_write_too(tmp_path: Path, commands: FakeCommands) -> None:
    folder = compare(tmp_path / "out", GRID, only=KEYS[1], commands=commands)
    assert folder == tmp_path / "out" / "runs" / KEYS[1]
    assert commands.calls() == [KEYS[1]]
    assert files(tmp_path / "out") == set()


def test_a_baseline_that_failed_leaves_the_others_without_a_difference(tmp_path: Path, commands: FakeCommands) -> None:
    commands.behavior = {KEYS[0]: "fails", KEYS[2]: "fails"}
    text = compare(tmp_path / "out", GRID, commands=commands).read_text()
    assert "| 3 | supervised | 0, 2 failed | – | – |" in text
    assert "| 3 | cts | 2 | 0.605 ± 0.071 | – | 2.0 |" in text
    assert "| mine | 3 | supervised | 0 | supervised is nan at step 7 |" in text


@pytest.mark.parametrize(
    ("specification", "options", "message"),
    [
        (None, {}, "holds no comparison yet: give --bundles"),
        (GRID, {"split": "train"}, "split is 'train'; expected validation or test"),
        (GRID, {"baseline": "mcsc"}, "--baseline mcsc: no such row; there are supervised, cts"),
        (GRID, {"processes": 0}, "processes is 0; expected a whole number, 1 or more"),
        (GRID, {"threads": "two"}, "threads is 'two'"),
        (GRID, {"minutes": -1}, "minutes is -1; expected a number, 0 or more"),
        (GRID, {"only": "mine/mcsc"}, "--only mine/mcsc: no such run; the first is mine/supervised/labeled_3/seed_0"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_run(
    tmp_path: Path, commands: FakeCommands, specification: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        compare(tmp_path / "out", specification, commands=commands, **options)
    assert commands.calls() == []


def test_a_folder_without_runs_or_csv_files_has_no_tables(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"neither a folder runs nor runs\.csv and scores\.csv"):
        compare(tmp_path, report_only=True)
