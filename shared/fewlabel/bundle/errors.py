"""Say what is wrong last, where people look."""

from __future__ import annotations

import sys
from types import TracebackType


def explain_errors() -> None:
    """End the report of an uncaught error with its first cause.

    ``monai.bundle`` wraps an error in one for each expression it passes through, so that a traceback ends with the name
    of an expression. The traceback stays; a last line says what happened.
    """
    sys.excepthook = _explain


def _explain(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    sys.__excepthook__(kind, error, traceback)
    cause = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    if cause is not error:
        print(f"\nfewlabel: error: {cause}", file=sys.stderr)
