"""A run while it is worked on."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

from fewlabel.comparison.runs.commands import Commands
from fewlabel.comparison.runs.process import Ended, LoggedProcess, environment
from fewlabel.comparison.runs.provenance import commit, machine, versions
from fewlabel.comparison.runs.records import (
    RunFolder,
    Stage,
    begin_attempt,
    end_attempt,
    require_same_request,
)
from fewlabel.comparison.runs.run import Run
from fewlabel.errors import one_line


class Busy(Exception):  # noqa: N818 - no error: somebody else works on it
    """Another process works on the run."""


class Job:
    """Do what is left of a run, one stage after the other; nobody else can at the same time.

    A stage that is finished is not done again. A training run that was stopped is resumed where its state lies and its
    config is the same; else it begins anew.

    Args:
        run: the run.
        out: the comparison's folder.
        stages: what is to be done, in order.
        threads: of each process.
        commands: where the commands come from.

    Raises:
        Busy: another process works on it.
        ValueError: the run was begun with other settings.
    """

    def __init__(self, run: Run, out: Path, stages: list[Stage], threads: int, commands: Commands) -> None:
        self.run = run
        self.folder = RunFolder(out, run.key)
        self.message = ""
        self._threads = threads
        self._commands = commands
        self._process: LoggedProcess | None = None
        self._note: dict[str, Any] = {}
        self.folder.path.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self.folder.path / "lock", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            require_same_request(self.folder, run)
        except BlockingIOError:
            os.close(self._lock)
            raise Busy(run.key) from None
        except ValueError:
            os.close(self._lock)
            raise
        self._left: list[Stage] = [stage for stage in stages if not self.folder.is_finished(stage)]
        self._next()

    def poll(self) -> bool:
        """Return whether the run has ended, ``message`` then says why it failed; begin its next stage when one has."""
        if self._process is not None and (ended := self._process.poll()) is not None:
            self._end(ended)
        return self._process is None

    def stop(self) -> None:
        """End it; what it has saved stays, and the next start goes on from there."""
        if self._process is not None:
            self._process.stop()
            self._process = None
        self._close()

    def _next(self) -> None:
        self._process = None
        if not self._left:
            self._close()
            return
        stage = self._left[0]
        try:
            words = self._prepare(stage)
        except (ValueError, OSError) as error:
            self._fail(stage, one_line(error))
            return
        begin_attempt(self.folder, stage)
        self._process = LoggedProcess(words, self.folder.log, environment(self._threads), [self._lock])

    def _prepare(self, stage: Stage) -> list[str]:
        self._note = {
            "request": self.run.as_dict(),
            "started": datetime.now().astimezone().isoformat(timespec="seconds"),
            "commit": commit(),
            "versions": versions(),
            "machine": machine(),
            "threads": self._threads,
        }
        self.folder.remove(stage)
        self.folder.write("request", self.run.as_dict())
        if stage == "test":
            self._note["command"] = self._commands.test(self.run, self.folder)
            return list(self._note["command"])
        self._note["labeled"] = self._commands.labeled(self.run)
        config = json.loads(json.dumps(self._commands.config(self.run, self.folder)))
        resume = self.folder.state.is_file() and self.folder.read("config") == config
        if not resume:
            for part in ("eval", "models"):
                shutil.rmtree(self.folder.path / part, ignore_errors=True)
            self.folder.remove(f"{stage}_attempts")
            self.folder.write("config", config)
        self._note["command"] = self._commands.train(self.run, self.folder, resume)
        return list(self._note["command"])

    def _end(self, ended: Ended) -> None:
        stage = self._left[0]
        assert self._process is not None
        minutes, attempts = end_attempt(self.folder, stage)
        self._note |= {
            "ended": datetime.now().astimezone().isoformat(timespec="seconds"),
            "minutes": round(minutes, 3),
            "cpu_minutes": round(ended.cpu_minutes, 3) if attempts == 1 else None,
            "attempts": attempts,
            "peak_memory_mib": round(ended.memory_mib, 1),
        }
        if ended.code != 0:
            self._fail(stage, self._process.reason(ended))
            return
        self.folder.write(stage, {"status": "finished", "message": "", **self._note})
        self.folder.state.unlink(missing_ok=True)  # of no more use, and the largest file
        self._left.pop(0)
        self._next()

    def _fail(self, stage: Stage, message: str) -> None:
        self._process = None
        self.message = message
        self.folder.write(stage, {"status": "failed", "message": message, **self._note})
        self._close()

    def _close(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
