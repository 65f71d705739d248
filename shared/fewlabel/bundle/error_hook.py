"""Say what is wrong last, where people look."""

from __future__ import annotations

import sys
from types import TracebackType

from fewlabel.bundle.command_line.run_command import is_run_command
from fewlabel.errors import is_explained, one_line, user_facing_cause
from fewlabel.parsing import parse_bool
from fewlabel.stopping import stop_at_signals


def explain_errors(traceback: bool | str = False) -> None:
    """End the report of an uncaught error with the message that names the fault and what to do.

    ``monai.bundle`` wraps an error in one for each expression it passes through, so that a traceback of a hundred lines
    ends with the name of an expression. A last line says what happened: see
    :func:`fewlabel.errors.user_facing_cause`. Where that says all (see :func:`fewlabel.errors.is_explained`), it is
    printed alone. Whatever else reports uncaught errors gets them as before. Calling this again changes nothing. In a
    process that `python -m monai.bundle run` started, Ctrl-C and SIGTERM get a sentence too, see
    :func:`fewlabel.stopping.stop_at_signals`.

    Args:
        traceback: print the traceback always.

    Raises:
        ValueError: ``traceback`` is neither true nor false.
    """
    everything = parse_bool(traceback)
    if is_run_command(sys.argv):
        stop_at_signals()
    if getattr(sys.excepthook, "explains", False):
        return
    # what explains errors of the command line has done its work when a run begins
    report = getattr(sys.excepthook, "replaced", sys.excepthook)

    def explain(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        cause = user_facing_cause(error)
        alone = is_explained(cause) and not everything
        if not alone or report is not sys.__excepthook__:
            report(kind, error, trace)
        if alone or cause is not error:
            print("" if alone else "\n", f"fewlabel: error: {one_line(cause)}", sep="", file=sys.stderr)

    explain.explains = True  # type: ignore[attr-defined]
    sys.excepthook = explain
