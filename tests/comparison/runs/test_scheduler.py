from __future__ import annotations

import fcntl
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from fewlabel.comparison.runs import scheduler
from fewlabel.comparison.runs.records import RunFolder
from fewlabel.comparison.runs.run import Run
from fewlabel.comparison.runs.scheduler import do_runs
from helpers.fake_runs import FakeCommands, fake_run

RUNS = [fake_run("supervised"), fake_run("bcp"), fake_run("mcsc")]


def do(runs: list[Run], out: Path, commands: FakeCommands, **options: Any) -> list[str]:
    said: list[str] = []
    do_runs(runs, out, commands=commands, report=said.append, **options)
    return said


@pytest.mark.parametrize("processes", [1, 2, 5])
def test_every_run_is_done_once_and_never_again(out: Path, commands: FakeCommands, processes: int) -> None:
    do(RUNS, out, commands, processes=processes)
    assert sorted(commands.calls()) == sorted(run.key for run in RUNS)
    said = do(RUNS, out, commands)
    assert len(commands.calls()) == 3
    assert said == ["3 of 3 runs are finished already"]


def test_runs_come_in_their_order_one_after_another(out: Path, commands: FakeCommands) -> None:
    do(RUNS, out, commands)
    assert commands.calls() == [run.key for run in RUNS]


def test_a_run_that_fails_is_noted_with_its_message_and_the_others_go_on(out: Path, commands: FakeCommands) -> None:
    commands.behavior = {RUNS[1].key: "fails"}
    said = do(RUNS, out, commands)
    assert len(commands.calls()) == 3
    assert any("mine/bcp/labeled_3/seed_0 failed: supervised is nan at step 7" in line for line in said)
    note = RunFolder(out, RUNS[1].key).read("train")
    assert (note["status"], note["message"]) == ("failed", "supervised is nan at step 7")


def test_a_run_that_failed_is_tried_again_by_the_next_call(out: Path, commands: FakeCommands) -> None:
    commands.behavior = {RUNS[1].key: "fails"}
    do(RUNS, out, commands)
    commands.behavior = {}
    do(RUNS, out, commands)
    assert commands.calls() == [run.key for run in [*RUNS, RUNS[1]]]
    assert RunFolder(out, RUNS[1].key).is_finished("train")


def test_a_config_that_cannot_be_read_fails_its_run_alone(out: Path, commands: FakeCommands) -> None:
    do([fake_run("broken"), fake_run()], out, commands)
    assert commands.calls() == ["mine/supervised/labeled_3/seed_0"]
    assert "nearest is --seed" in RunFolder(out, "mine/broken/labeled_3/seed_0").read("train")["message"]


def test_no_run_is_begun_after_the_minutes_are_over(out: Path, commands: FakeCommands) -> None:
    said: list[str] = []
    left = do_runs(RUNS, out, minutes=0, commands=commands, report=said.append)
    assert left == RUNS
    assert commands.calls() == []
    assert said == ["the 0 minutes are over: 3 runs are not begun"]


def test_the_test_cases_are_scored_on_demand_without_training_again(out: Path, commands: FakeCommands) -> None:
    do(RUNS[:1], out, commands)
    assert not RunFolder(out, RUNS[0].key).scores("test").exists()
    do(RUNS[:1], out, commands, split="test")
    assert commands.calls() == [RUNS[0].key, f"{RUNS[0].key} test"]
    assert RunFolder(out, RUNS[0].key).scores("test").is_file()


def test_a_note_is_enough_to_repeat_the_run(out: Path, commands: FakeCommands) -> None:
    do(RUNS[:1], out, commands, threads=2)
    folder = RunFolder(out, RUNS[0].key)
    note = folder.read("train")
    assert Run.from_dict(note["request"]) == RUNS[0]
    assert note["labeled"] == ["patient0", "patient1", "patient2"]
    assert note["threads"] == 2
    assert {"torch", "monai", "python", "fewlabel", "numpy"} <= set(note["versions"])
    assert {"processor", "cores", "memory_gib", "gpus", "system"} <= set(note["machine"])
    assert note["command"] == commands.train(RUNS[0], folder, resume=False)
    assert json.loads(folder.config.read_text())["settings"] == "as ever"
    assert note["minutes"] > 0
    assert note["peak_memory_mib"] > 1


def test_what_was_begun_with_other_settings_is_refused_before_anything_is_done(
    out: Path, commands: FakeCommands
) -> None:
    do(RUNS[2:], out, commands)
    with pytest.raises(ValueError, match=r"was begun with options \{\}, not \{'size': '64'\}: choose another folder"):
        do([RUNS[0], fake_run("mcsc", options={"size": "64"})], out, commands)
    assert len(commands.calls()) == 1


def test_two_callers_share_the_runs_of_a_folder(
    out: Path, commands: FakeCommands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "_WAIT", 0.05)
    callers = [threading.Thread(target=do, args=(RUNS, out, commands)) for _ in range(2)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    assert sorted(commands.calls()) == sorted(run.key for run in RUNS)


def test_a_run_that_another_works_on_is_waited_for(
    out: Path, commands: FakeCommands, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(out, RUNS[0].key)
    folder.path.mkdir(parents=True)
    lock = os.open(folder.path / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        if seconds == scheduler._WAIT:
            waits.append(seconds)
            os.close(lock)

    monkeypatch.setattr(scheduler.time, "sleep", sleep)
    do(RUNS[:2], out, commands)
    assert len(waits) == 1
    assert commands.calls() == [RUNS[1].key, RUNS[0].key]
