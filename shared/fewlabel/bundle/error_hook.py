"""Say what is wrong last, where people look."""

from __future__ import annotations

import sys
from types import TracebackType

from fewlabel.errors import one_line, user_facing_cause


def explain_errors() -> None:
    """End the report of an uncaught error with the message that names the fault and its cure.

    ``monai.bundle`` wraps an error in one for each expression it passes through, so that a traceback ends with the name
    of an expression. The traceback stays, as does whatever else reports uncaught errors; a last line says what
    happened: see :func:`fewlabel.errors.user_facing_cause`. Calling this again changes nothing.
    """
    if getattr(sys.excepthook, "explains", False):
        return
    report = sys.excepthook

    def explain(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        report(kind, error, traceback)
        cause = user_facing_cause(error)
        if cause is not error:
            print(f"\nfewlabel: error: {one_line(cause)}", file=sys.stderr)

    explain.explains = True  # type: ignore[attr-defined]
    sys.excepthook = explain
