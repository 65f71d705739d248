from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from fewlabel import folder_lock
from fewlabel.folder_lock import LOCK_FILE, FolderInUseError, FolderLock, Holder, folders_held, is_held
from helpers.paths import environment

HOLD = """
import sys, time
from fewlabel.folder_lock import hold_folder
hold_folder(sys.argv[1])
print("held", flush=True)
time.sleep(600)
"""


@contextmanager
def another_run(folder: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def leave(folder: Path, **changes: object) -> Path:
    """Leave the file of a run that ended without a word."""
    file = folder / LOCK_FILE
    file.write_text(json.dumps(asdict(replace(Holder.this(), **changes))))
    return file


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_lock, "HEARTBEAT", 0.05)


def test_a_folder_in_which_another_run_works_is_refused_and_that_run_is_named(tmp_path: Path) -> None:
    with another_run(tmp_path) as other:
        with pytest.raises(FolderInUseError) as refusal, folders_held(tmp_path):
            pytest.fail("two runs in one folder")
        host = os.uname().nodename
        said = str(refusal.value)
        assert said.startswith(f"{tmp_path}: another run works in it (process {other.pid} on {host}, started 20")
        assert "-c" in said  # its command
        assert "--output_dir" in said
        assert is_held(tmp_path)
        # refusing did not disturb it
        with pytest.raises(FolderInUseError), folders_held(tmp_path):
            pytest.fail("two runs in one folder")


def test_the_folder_of_a_killed_run_is_taken_over_at_once_with_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with another_run(tmp_path) as other:
        other.send_signal(signal.SIGKILL)
        other.wait()
    assert (tmp_path / LOCK_FILE).is_file()
    began = time.monotonic()
    with folders_held(tmp_path):
        assert json.loads((tmp_path / LOCK_FILE).read_text())["pid"] == os.getpid()
    assert time.monotonic() - began < folder_lock.HEARTBEAT
    [line] = caplog.messages
    assert line.startswith(f"{tmp_path}: taken over from a run that ended without a word: process {other.pid} on")
    assert list(tmp_path.iterdir()) == []


def test_a_dead_run_whose_number_a_living_process_has_holds_nothing(tmp_path: Path) -> None:
    leave(tmp_path, pid=os.getppid())
    assert not is_held(tmp_path)
    with folders_held(tmp_path):
        assert is_held(tmp_path)


@pytest.mark.parametrize("text", ["", "{", '{"pid": 1}', "[]"])
def test_a_note_that_was_cut_off_keeps_nobody_out(tmp_path: Path, text: str) -> None:
    (tmp_path / LOCK_FILE).write_text(text)
    with folders_held(tmp_path):
        assert json.loads((tmp_path / LOCK_FILE).read_text())["pid"] == os.getpid()


@pytest.mark.usefixtures("impatient")
def test_a_run_on_another_machine_that_shows_a_sign_of_life_holds_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = leave(tmp_path, host="elsewhere", boot="another")
    real = time.sleep

    def sleep(seconds: float) -> None:  # meanwhile, elsewhere
        os.utime(file, (time.time(), time.time() + 0.01))
        real(seconds)

    monkeypatch.setattr(time, "sleep", sleep)
    with pytest.raises(FolderInUseError, match="elsewhere"), folders_held(tmp_path):
        pytest.fail("two runs in one folder")
    assert json.loads(file.read_text())["host"] == "elsewhere"


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("age", [0, 3600])
def test_a_run_on_another_machine_without_one_is_dead(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, age: int
) -> None:
    file = leave(tmp_path, host="elsewhere", boot="another")
    os.utime(file, (time.time() - age, time.time() - age))
    with folders_held(tmp_path):
        assert json.loads(file.read_text())["pid"] == os.getpid()
    looked = [line for line in caplog.messages if "looking for a sign of life" in line]
    assert len(looked) == (age == 0)  # nobody waits for what has been silent for long
    assert "elsewhere" in caplog.messages[-1]


@pytest.mark.usefixtures("impatient")
def test_where_there_are_no_locks_a_living_run_is_known_by_its_signs_of_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_lock, "try_lock", lambda stream: None)
    first = FolderLock(tmp_path)
    with pytest.raises(FolderInUseError):
        FolderLock(tmp_path)
    first.release()
    FolderLock(tmp_path).release()
    leave(tmp_path)  # of a dead one
    FolderLock(tmp_path).release()


def test_a_run_may_hold_its_folder_more_than_once(tmp_path: Path) -> None:
    with folders_held(tmp_path, tmp_path / "models"):
        with folders_held(tmp_path):
            pass
        assert is_held(tmp_path)
        assert is_held(tmp_path / "models")
    assert list(tmp_path.iterdir()) == []  # also the folder that was made for nothing


def test_a_forked_worker_neither_holds_nor_frees_the_folder(tmp_path: Path) -> None:
    with folders_held(tmp_path):
        if (child := os.fork()) == 0:
            try:
                with folders_held(tmp_path):
                    pass
            except FolderInUseError:
                os._exit(7)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert (tmp_path / LOCK_FILE).is_file()


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"in the way")
    with pytest.raises(PermissionError, match="file/eval: can't write there"), folders_held(tmp_path / "file" / "eval"):
        pytest.fail("no such folder")
