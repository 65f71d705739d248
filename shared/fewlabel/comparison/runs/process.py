"""A process whose output goes to a log, and that does not outlive the comparison."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Args:
        code: exit code, negative for the signal that ended it.
        memory_mib: its largest memory, or that of a process it waited for, and at least that of the process which
            started it, with which it begins.
        cpu_minutes: its time on the CPU, with that of the processes it waited for.
    """

    code: int
    memory_mib: float
    cpu_minutes: float


class LoggedProcess:
    """Start a command.

    Args:
        words: the command.
        log: its output is added to this file.
        environment: of the process.
        kept_open: file descriptors that stay open in it: a lock is held until it too has ended.
    """

    def __init__(
        self, words: Sequence[str], log: Path, environment: Mapping[str, str], kept_open: Sequence[int]
    ) -> None:
        self.log = log
        with open(log, "ab") as stream:
            stream.write(f"$ {' '.join(words)}\n".encode())
            stream.flush()
            self._since = stream.tell()
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                pass_fds=kept_open,
                preexec_fn=_end_with_parent if _LIBC is not None else None,
            )

    def poll(self) -> Ended | None:
        """Return how the process ended, None while it runs."""
        pid, status, usage = os.wait4(self._process.pid, os.WNOHANG)
        if pid == 0:
            return None
        self._process.returncode = os.waitstatus_to_exitcode(status)  # so that nobody waits for it again
        scale = 2**20 if sys.platform == "darwin" else 2**10
        return Ended(self._process.returncode, usage.ru_maxrss / scale, (usage.ru_utime + usage.ru_stime) / 60)

    def stop(self, patience: float = 10.0) -> None:
        """End the process, which may first tidy up for some seconds."""
        self._process.terminate()
        until = time.monotonic() + patience
        with contextlib.suppress(ChildProcessError):  # a signal can come just when it has been waited for
            while self.poll() is None:
                if time.monotonic() > until:
                    self._process.kill()
                time.sleep(0.02)

    def reason(self, ended: Ended) -> str:
        """Return why the process failed: the last line it printed, or the signal that ended it."""
        with open(self.log, "rb") as stream:
            stream.seek(self._since)
            lines = [line.strip() for line in stream.read().decode(errors="replace").splitlines() if line.strip()]
        if ended.code < 0:
            name = signal.Signals(-ended.code).name
            hint = ", perhaps for lack of memory" if -ended.code == signal.SIGKILL else ""
            return f"ended by {name}{hint}; see {self.log}"
        return lines[-1] if lines else f"exit code {ended.code}, nothing was printed"


def _end_with_parent() -> None:
    # when the comparison is killed, its runs must not go on beside those of its next start
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # type: ignore[union-attr]


def environment(threads: int) -> dict[str, str]:
    """Return this process's environment, with this package on the import path and a number of threads."""
    import fewlabel

    own = str(Path(fewlabel.__file__).parents[1])
    paths = [own, *filter(None, [os.environ.get("PYTHONPATH")])]
    numbers = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    # unbuffered: the message of a failure is the last line of its log
    return {**os.environ, **numbers, "PYTHONUNBUFFERED": "1", "PYTHONPATH": os.pathsep.join(paths)}
