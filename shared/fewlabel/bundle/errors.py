"""Say what is wrong last, where people look."""

from __future__ import annotations

import sys
import traceback as tracebacks
from pathlib import Path
from types import TracebackType

_PACKAGE = Path(__file__).parents[1]


def explain_errors() -> None:
    """End the report of an uncaught error with the message that names the fault and its cure.

    ``monai.bundle`` wraps an error in one for each expression it passes through, so that a traceback ends with the name
    of an expression. The traceback stays, as does whatever else reports uncaught errors; a last line says what
    happened: see :func:`explanation`. Calling this again changes nothing.
    """
    if getattr(sys.excepthook, "explains", False):
        return
    report = sys.excepthook

    def explain(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        report(kind, error, traceback)
        cause = explanation(error)
        if cause is not error:
            print(f"\nfewlabel: error: {_sentence(cause)}", file=sys.stderr)

    explain.explains = True  # type: ignore[attr-defined]
    sys.excepthook = explain


def explanation(error: BaseException) -> BaseException:
    """Return, of an error and its causes, the outermost that this package raised; the first cause if it raised none.

    The first cause alone may be a library's "file ended early", without the file's name.
    """
    chain = [error]
    while chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)
    return next((cause for cause in chain if _is_ours(cause)), chain[-1])


def _is_ours(error: BaseException) -> bool:
    files = [frame.f_code.co_filename for frame, _ in tracebacks.walk_tb(error.__traceback__)]
    return bool(files) and Path(files[-1]).is_relative_to(_PACKAGE)


def _sentence(error: BaseException) -> str:
    """Return the message as one line; those of ValueError and OSError are sentences, others need the error's name."""
    message = " ".join(line.strip() for line in str(error).splitlines())
    return message if isinstance(error, (ValueError, OSError)) else f"{type(error).__name__}: {message}"
