from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fewlabel.comparison.runs.process import Ended, LoggedProcess, environment
from helpers import paths


def ended(process: LoggedProcess) -> Ended:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if (how := process.poll()) is not None:
            return how
        time.sleep(0.01)
    raise AssertionError("the process does not end")


def start(tmp_path: Path, program: str) -> LoggedProcess:
    return LoggedProcess([sys.executable, "-S", "-c", program], tmp_path / "log.txt", environment(1), [])


def test_the_log_has_each_command_and_all_that_it_printed(tmp_path: Path) -> None:
    for word in ("one", "two"):
        how = ended(
            start(tmp_path, f"import sys; print('{word}'); sys.stdout.flush(); print('warned', file=sys.stderr)")
        )
        assert how.code == 0
    lines = (tmp_path / "log.txt").read_text().splitlines()
    assert [line for line in lines if line.startswith("$ ")] == lines[::3]
    assert [lines[1], lines[2], lines[4], lines[5]] == ["one", "warned", "two", "warned"]


def test_memory_and_time_of_the_cpu_are_those_of_the_process(tmp_path: Path) -> None:
    busy = "until = time.process_time() + 0.3\nwhile time.process_time() < until: pass"
    program = f"import time\nhog = b'x' * 300_000_000\n{busy}"
    how = ended(start(tmp_path, program))
    assert how.memory_mib > 286
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10  # which a process begins with
    assert how.memory_mib < max(600, 1.1 * own)
    assert 0.3 / 60 <= how.cpu_minutes < 0.1


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        (
            "print('long'); raise SystemExit('labeled_cases is 9, but 4 can train')",
            "labeled_cases is 9, but 4 can train",
        ),
        ("import sys; sys.exit(3)", "exit code 3, nothing was printed"),
        ("import os; os.kill(os.getpid(), 9)", "ended by SIGKILL, perhaps for lack of memory; see "),
    ],
)
def test_the_reason_of_a_failure_is_the_last_line_or_the_signal(tmp_path: Path, program: str, reason: str) -> None:
    ended(start(tmp_path, "print('of an earlier process')"))
    process = start(tmp_path, program)
    how = ended(process)
    assert how.code != 0
    assert process.reason(how).startswith(reason)


def test_stopping_ends_a_process_even_if_it_does_not_listen(tmp_path: Path) -> None:
    program = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    )
    process = start(tmp_path, program)
    while "up" not in (tmp_path / "log.txt").read_text().splitlines():
        time.sleep(0.01)
    process.stop(patience=0.05)
    with pytest.raises(ChildProcessError):
        process.poll()


@pytest.mark.skipif(sys.platform != "linux", reason="the request to end with one's parent is Linux's")
def test_a_process_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import os, sys, time; from pathlib import Path; from fewlabel.comparison.runs.process import LoggedProcess\n"
        "words = [sys.executable, '-I', '-c', 'import os, time; print(os.getpid(), flush=True); time.sleep(600)']\n"
        f"LoggedProcess(words, Path({str(tmp_path / 'log.txt')!r}), os.environ, []); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], env=paths.environment())
    log = tmp_path / "log.txt"
    while not log.exists() or len(log.read_text().splitlines()) < 2 or not log.read_text().endswith("\n"):
        time.sleep(0.01)
    child = int(log.read_text().splitlines()[-1])
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    until = time.monotonic() + 30
    while time.monotonic() < until and _runs(child):
        time.sleep(0.01)
    assert not _runs(child)


def _runs(pid: int) -> bool:
    """Whether a process is there and no zombie that nobody has collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_the_environment_has_this_package_and_the_number_of_threads() -> None:
    import fewlabel

    there = environment(3)
    assert there["PYTHONPATH"].split(os.pathsep)[0] == str(Path(fewlabel.__file__).parents[1])
    assert {there[name] for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")} == {"3"}


def test_a_process_that_was_waited_for_as_a_signal_came_is_stopped_without_an_error(tmp_path: Path) -> None:
    process = start(tmp_path, "pass")
    os.waitpid(process._process.pid, 0)
    process.stop()
