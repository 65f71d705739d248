"""Stop at Ctrl-C or at the end of a job with one sentence: what to do next; and with an exit code that says so."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_CAUSES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}
_HARD = 1.0  # seconds after which a second signal means: at once
_next_steps: list[Callable[[], str]] = [lambda: "nothing is half written; start the same command again"]


class Stopped(SystemExit):
    """The process was asked to end, by a signal; ``code`` is 128 and the signal's number, as shells have it."""

    def __str__(self) -> str:
        return f"stopped with exit code {self.code}"


@contextmanager
def when_stopped(next_step: Callable[[], str]) -> Iterator[None]:
    """Let ``next_step`` say how to go on, should the process be asked to end within the block."""
    _next_steps.append(next_step)
    try:
        yield
    finally:
        _next_steps.pop()


def stop_at_signals() -> None:
    """Turn Ctrl-C and SIGTERM into :class:`Stopped`, after a sentence on stderr that says how to go on.

    For programs; a library leaves signals alone. What is being written is given up, and the file that was there stays.
    A second signal ends the process on the spot. A signal that is ignored, below ``nohup`` for instance, stays so.
    """
    if threading.current_thread() is not threading.main_thread():
        return  # only the main thread may set handlers
    stopping = _Stopping()
    for number in _CAUSES:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, stopping)


class _Stopping:
    def __init__(self) -> None:
        self.owner = os.getpid()
        self.since: float | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self.owner:  # a forked child, which inherits handlers, does what it did without
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        code = 128 + number
        if self.since is not None:
            if time.monotonic() - self.since > _HARD:
                os._exit(code)
            return  # a terminal and a launcher send theirs at once
        self.since = time.monotonic()
        if hasattr(signal, "SIGCHLD"):  # that workers end too is no error now
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if os.environ.get("RANK", "0") == "0":  # of several processes the main one speaks
            sentence = f"\nfewlabel: stopped by {_CAUSES[signal.Signals(number)]}; {_next_steps[-1]()}\n"
            # not print: the signal may have come in the middle of one
            os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, sentence.encode())
        raise Stopped(code)
