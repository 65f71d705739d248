"""Real commands in processes of their own, with a fault planted in them or in the folders they work in.

    run("fewlabel", *training(data, folder), plant=plant(kill_in_save, "training_state.pt", 2))

starts `python -m fewlabel train ...` on a tiny cohort, kills it with half of its second state on disk, and returns how
it ended. A plant is a function of any file, called in the new process before the module begins; `start` returns while
the command still runs, for what happens beside it.
"""

from __future__ import annotations

import inspect
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from helpers.bundle_runs import places, tiny, words
from helpers.bundles import BASELINES
from helpers.paths import environment

BUNDLE = BASELINES["slices"]
PATIENCE = 600.0  # seconds after which a command hangs


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    output: str
    errors: str

    @property
    def text(self) -> str:
        return f"exit code {self.code}\n{self.output[-6000:]}\n{self.errors[-6000:]}"

    @property
    def last(self) -> str:
        """The last line that a person sees of an error."""
        return (self.errors.rstrip().splitlines() or [""])[-1]

    def ended_well(self) -> Ended:
        assert self.code == 0, self.text
        return self

    def was_killed(self) -> Ended:
        assert self.code == -signal.SIGKILL, self.text
        return self

    def says(self, *parts: str | Path, code: int = 1) -> Ended:
        """Refused or failed with one line that holds all parts, and no traceback."""
        assert self.code == code, self.text
        assert "Traceback" not in self.errors, self.text
        assert self.last.startswith("fewlabel: error: "), self.text
        missing = [str(part) for part in parts if str(part) not in self.last]
        assert not missing, f"{missing} not in {self.last!r}"
        return self


class Running:
    """A command that runs; `with` kills what is left of it."""

    def __init__(self, command: list[str], cwd: Path | None, largest_file: int | None) -> None:
        self._output, self._errors = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 - read to the end

        def limit() -> None:
            if largest_file is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

        self.process = subprocess.Popen(
            command, cwd=cwd, env=environment(), stdin=subprocess.DEVNULL, stdout=self._output, stderr=self._errors,
            start_new_session=True, preexec_fn=limit,
        )  # fmt: skip

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()

    def wait_until(self, due: str | Callable[[], bool]) -> None:
        """Wait until a text was printed or something else is true; the command must still run then."""
        end = time.monotonic() + PATIENCE
        while not (due in self.so_far().text if isinstance(due, str) else due()):
            assert self.process.poll() is None, f"ended before {due}: {self.so_far().text}"
            assert time.monotonic() < end, f"no {due}: {self.so_far().text}"
            time.sleep(0.01)

    def signal(self, number: int) -> None:
        """Send a signal to the command and its children, as a terminal does with Ctrl-C."""
        os.killpg(self.process.pid, number)

    def kill(self) -> Ended:
        self.signal(signal.SIGKILL)
        return self.end()

    def end(self) -> Ended:
        """Wait for the command and return how it ended."""
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            pytest.fail(f"hangs: {self.so_far().text}")
        return self.so_far()

    def so_far(self) -> Ended:
        code = self.process.returncode
        return Ended(-1000 if code is None else code, *map(_content, (self._output, self._errors)))


def _content(file: Any) -> str:
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode(errors="replace")


def start(
    module: str, *arguments: str, plant: str | None = None, cwd: Path | None = None, largest_file: int | None = None
) -> Running:
    """Start `python -m <module> <arguments>`.

    Args:
        module: fewlabel, monai.bundle or torch.distributed.run.
        plant: what :func:`plant` gives.
        cwd: the working directory.
        largest_file: bytes, where the system refuses to let a file grow further: a stand-in for a quota.
    """
    before = [] if plant is None else ["helpers.planted", plant]
    return Running([sys.executable, "-W", "ignore", "-m", *before, module, *arguments], cwd, largest_file)


def run(module: str, *arguments: str, **settings: Any) -> Ended:
    """Run `python -m <module> <arguments>` to its end."""
    with start(module, *arguments, **settings) as running:
        return running.end()


def plant(function: Callable[..., None], *arguments: Any) -> str:
    """Describe a call that is made in the new process before the command begins."""
    return json.dumps([inspect.getsourcefile(function), function.__name__, arguments])


# Words behind `fewlabel`, on a tiny cohort.


def training(data: Path, folder: Path, *more: str, command: str = "train", **changes: Any) -> list[str]:
    """Train in two epochs of two steps; files go to `eval` and `models` of the folder."""
    settings = {"dataset_dir": str(data), "labeled_cases": 2, **places(folder), **tiny(BUNDLE, **changes)}
    return [command, BUNDLE, *words(settings), *more]


def evaluation(data: Path, folder: Path, *more: str) -> list[str]:
    return training(data, folder, *more, command="evaluate")


def segmentation(scans: Path, folder: Path, *more: str) -> list[str]:
    """Segment with the weights of `models`, into `segmentations` of the folder."""
    settings = {"output_dir": folder / "segmentations", "checkpoint": folder / "models" / "model.pt"}
    return ["segment", BUNDLE, "--dataset_dir", str(scans), *words(settings), *more]


# Faults of the machine.


def kill_in_save(name: str, number: int = 1) -> None:
    """Plant: die as by kill -9 with half of a file on disk, the `number`-th time that one of this name is written."""
    real, seen = os.fsync, []

    def fsync(descriptor: int) -> None:
        if f".{name}." in Path(os.readlink(f"/proc/self/fd/{descriptor}")).name:
            seen.append(descriptor)
            if len(seen) == number:
                os.truncate(descriptor, os.fstat(descriptor).st_size // 2)
                os.kill(os.getpid(), signal.SIGKILL)
        real(descriptor)

    os.fsync = fsync


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[Path]:
    """Mount something on a folder; the test is skipped where that is not allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[Path]:
    """A file system of a size that fills up."""
    with mounted(folder, "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs"):
        yield folder


@contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    """Make a folder read-only, for root too: it is mounted so, with what it holds."""
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid():
        folder.chmod(0o555)
        try:
            yield folder
        finally:
            folder.chmod(0o755)
        return
    with mounted(folder, "--bind", str(folder)):
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
        yield folder


def cut_short(file: Path, share: float = 0.5) -> Path:
    """Truncate a file."""
    os.truncate(file, int(file.stat().st_size * share))
    return file


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder with what they hold."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}
