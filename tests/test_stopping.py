from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from helpers.paths import environment

PROGRAM = """
import atexit, os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # which the tests' own process may ignore, started with &
from fewlabel.stopping import stop_at_signals, when_stopped
stop_at_signals()
atexit.register(print, "tidied")
{before}
with when_stopped(lambda: "tie the laces"):
    with when_stopped(lambda: "this is over"):
        pass
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        {cleaning}
"""


def stopped(
    *numbers: int, before: str = "", cleaning: str = "pass", pause: float = 0.0, **more: str
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM.format(before=before, cleaning=cleaning)]
    with subprocess.Popen(
        command, env=environment(**more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for number in numbers:
            process.send_signal(number)
            time.sleep(pause)
        output, errors = process.communicate(timeout=60)
        return subprocess.CompletedProcess(command, process.returncode, output, errors)


@pytest.mark.parametrize(
    ("number", "code", "cause"), [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM")]
)
def test_a_stopped_process_says_one_sentence_tidies_up_and_ends_with_its_code(
    number: int, code: int, cause: str
) -> None:
    done = stopped(number)
    assert (done.returncode, done.stdout) == (code, "tidied\n")
    assert done.stderr == f"\nfewlabel: stopped by {cause}; tie the laces\n"


def test_the_signals_of_a_terminal_and_its_launcher_count_as_one() -> None:
    done = stopped(signal.SIGINT, signal.SIGTERM, cleaning="time.sleep(0.2)")
    assert (done.returncode, done.stdout) in ((130, "tidied\n"), (143, "tidied\n"))
    assert done.stderr.count("fewlabel: stopped") == 1


def test_a_second_signal_ends_a_process_that_does_not_come_to_an_end() -> None:
    began = time.monotonic()
    done = stopped(signal.SIGINT, signal.SIGINT, cleaning="time.sleep(60)", pause=3.0)
    assert (done.returncode, done.stdout) == (130, "")
    assert time.monotonic() - began < 30


def test_an_ignored_signal_stays_ignored() -> None:
    command = [sys.executable, "-c", IGNORING]
    assert subprocess.run(command, env=environment(), capture_output=True, text=True).stdout == "still here\n"


IGNORING = """
import os, signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
from fewlabel.stopping import stop_at_signals
stop_at_signals()
os.kill(os.getpid(), signal.SIGINT)
print("still here")
"""


def test_of_several_processes_the_main_one_speaks() -> None:
    done = stopped(signal.SIGTERM, RANK="1")
    assert (done.returncode, done.stderr) == (143, "")


def test_a_forked_child_ends_as_it_would_without() -> None:
    before = """
begun, begin = os.pipe()
if (child := os.fork()) == 0:
    os.write(begin, b"!")  # Python drops signals that come while it forks
    time.sleep(60)
    os._exit(0)
os.read(begun, 1)
os.kill(child, 15)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), file=sys.stderr)
"""
    assert stopped(signal.SIGTERM, before=before).stderr.startswith("-15\n")
