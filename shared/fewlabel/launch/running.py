"""Hand a command over to MONAI, in this process."""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Callable, Sequence
from types import TracebackType

from fewlabel.errors import one_line

Check = Callable[[Sequence[str]], None]


def hand_over(words: Sequence[str], check: Check | None = None) -> None:
    """Do what ``python -m monai.bundle`` with these words does, from its import path to its exit code.

    Nothing is caught: an error ends the process as it does there.

    Args:
        words: what follows ``python -m monai.bundle``.
        check: raises ValueError or OSError for words that no config understands. MONAI reads configs and words before
            any code of ours runs, and ends with a traceback where a key is misspelled or a file is no JSON; if so, this
            is asked for a sentence to print instead.
    """
    if not getattr(sys.flags, "safe_path", False):  # `python -m` looks for modules in the working directory first
        sys.path[0] = os.getcwd()
    sys.argv[1:] = words
    if check is not None:
        _explain_until_the_run(words, check)
    runpy.run_module("monai.bundle", run_name="__main__", alter_sys=True)


def _explain_until_the_run(words: Sequence[str], check: Check) -> None:
    """Report uncaught errors by a sentence, until :func:`fewlabel.bundle.explain_errors` does in a config's run."""
    report = sys.excepthook

    def explain(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        fault = _fault(words, check) if issubclass(kind, Exception) else None
        if fault is None:
            report(kind, error, trace)
        else:
            print(f"fewlabel: error: {one_line(fault)}", file=sys.stderr)

    explain.replaced = report  # type: ignore[attr-defined]
    sys.excepthook = explain


def _fault(words: Sequence[str], check: Check) -> Exception | None:
    try:
        check(words)
    except (ValueError, OSError) as fault:
        return fault
    except ImportError:  # of MONAI itself, which the error at hand is about
        return None
    return None
