"""Find, in a chain of errors, the one that tells a person what is wrong."""

from __future__ import annotations

import dis
from pathlib import Path
from types import TracebackType

from fewlabel.disk_errors import disk_full, is_full
from fewlabel.listing import shortened

_PACKAGE = Path(__file__).parent
_RAISE = dis.opmap["RAISE_VARARGS"]


def user_facing_cause(error: BaseException) -> BaseException:
    """Return, of an error and its causes, the outermost that this package raised; the first cause if it raised none.

    The first cause alone may be a library's "file ended early", without the file's name.
    """
    chain = [error]
    while chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)
    return next((cause for cause in chain if _is_ours(cause)), chain[-1])


def is_explained(error: BaseException) -> bool:
    """Return whether the message says all that a person needs: what is wrong outside the program, and what to do.

    That is what this package's ``raise`` statements say about an argument or a file, and what the system says about a
    file that this package could not open or write. An error that a statement of ours ran into is a fault of ours.
    """
    place = _place(error)
    if is_full(error):  # whoever ran into it
        return True
    if place is None or not _is_ours(error):
        return False
    raised = place.tb_frame.f_code.co_code[place.tb_lasti] == _RAISE
    return isinstance(error, OSError) or (raised and isinstance(error, (ValueError, ImportError)))


def one_line(error: BaseException) -> str:
    """Return the message as one line; those of ValueError and OSError are sentences, others need the error's name.

    Of a very long one, which quotes a name without end, the middle is left out.

    >>> one_line(KeyError("image"))
    "KeyError: 'image'"
    """
    if isinstance(error, OSError) and error.filename is not None and error.errno is not None and is_full(error):
        error = disk_full(error.filename, error)
    message = shortened(" ".join(line.strip() for line in str(error).splitlines()))
    return message if isinstance(error, (ValueError, OSError)) else f"{type(error).__name__}: {message}"


def _is_ours(error: BaseException) -> bool:
    place = _place(error)
    return place is not None and Path(place.tb_frame.f_code.co_filename).is_relative_to(_PACKAGE)


def _place(error: BaseException) -> TracebackType | None:
    """Return where an error was raised, None of one that never was."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    return place
