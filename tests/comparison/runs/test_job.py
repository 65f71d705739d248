"""A run that is stopped and started again."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from fewlabel.comparison.runs.job import Busy, Job
from fewlabel.comparison.runs.records import RunFolder
from helpers.fake_runs import FakeCommands, fake_run

RUN = fake_run()


def start(out: Path, commands: FakeCommands) -> Job:
    return Job(RUN, out, ["train"], 1, commands)


def finish(job: Job) -> None:
    while not job.poll():
        time.sleep(0.01)


@pytest.fixture
def stopped(out: Path, commands: FakeCommands) -> RunFolder:
    """A run that was stopped when it had saved its state."""
    commands.behavior = {RUN.key: "hangs"}
    job = start(out, commands)
    while f"{RUN.key} hangs" not in commands.calls():
        time.sleep(0.01)
    assert not job.poll()
    job.stop()
    commands.journal.unlink()
    return job.folder


def test_a_run_is_resumed_where_its_state_lies(stopped: RunFolder, out: Path, commands: FakeCommands) -> None:
    finish(start(out, commands))
    assert commands.calls() == [f"{RUN.key} resume"]
    note = stopped.read("train")
    assert (note["status"], note["attempts"]) == ("finished", 2)


def test_the_state_goes_when_nobody_needs_it_any_more(stopped: RunFolder, out: Path, commands: FakeCommands) -> None:
    assert stopped.state.is_file()
    finish(start(out, commands))
    assert not stopped.state.exists()


def test_of_a_stopped_attempt_the_time_to_its_last_epoch_counts(
    stopped: RunFolder, out: Path, commands: FakeCommands
) -> None:
    (attempt,) = stopped.read("train_attempts")
    stopped.history.parent.mkdir()
    stopped.history.touch()
    os.utime(stopped.history, (0, attempt["started"] + 120))
    finish(start(out, commands))
    note = stopped.read("train")
    assert 2.0 < note["minutes"] < 2.5
    assert note["cpu_minutes"] is None


def test_a_run_without_a_state_begins_anew(stopped: RunFolder, out: Path, commands: FakeCommands) -> None:
    stopped.state.unlink()
    (stopped.path / "models" / "model.pt").touch()
    commands.behavior = {}
    finish(start(out, commands))
    assert commands.calls() == [RUN.key]
    assert stopped.read("train")["attempts"] == 1
    assert not (stopped.path / "models" / "model.pt").exists()


def test_a_run_whose_config_has_changed_begins_anew(stopped: RunFolder, out: Path, commands: FakeCommands) -> None:
    commands.settings, commands.behavior = "changed", {}
    finish(start(out, commands))
    assert commands.calls() == [RUN.key]
    assert stopped.read("config")["settings"] == "changed"


def test_nobody_else_can_work_on_a_run_at_the_same_time(out: Path, commands: FakeCommands) -> None:
    commands.behavior = {RUN.key: "hangs"}
    job = start(out, commands)
    with pytest.raises(Busy, match=RUN.key):
        start(out, commands)
    job.stop()
    start(out, commands).stop()


def test_an_old_failure_is_gone_while_the_run_is_tried_again(out: Path, commands: FakeCommands) -> None:
    commands.behavior = {RUN.key: "fails"}
    finish(start(out, commands))
    commands.behavior = {RUN.key: "hangs"}
    job = start(out, commands)
    assert job.folder.read("train") is None
    job.stop()


def test_a_damaged_note_is_named(out: Path, commands: FakeCommands) -> None:
    folder = RunFolder(out, RUN.key)
    folder.path.mkdir(parents=True)
    (folder.path / "train.json").write_text("{")
    with pytest.raises(ValueError, match=r"train\.json: no JSON .* remove it"):
        start(out, commands)
