"""Find, in a chain of errors, the one that tells a person what is wrong."""

from __future__ import annotations

import traceback as tracebacks
from pathlib import Path

_PACKAGE = Path(__file__).parent


def user_facing_cause(error: BaseException) -> BaseException:
    """Return, of an error and its causes, the outermost that this package raised; the first cause if it raised none.

    The first cause alone may be a library's "file ended early", without the file's name.
    """
    chain = [error]
    while chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)
    return next((cause for cause in chain if _is_ours(cause)), chain[-1])


def one_line(error: BaseException) -> str:
    """Return the message as one line; those of ValueError and OSError are sentences, others need the error's name.

    >>> one_line(KeyError("image"))
    "KeyError: 'image'"
    """
    message = " ".join(line.strip() for line in str(error).splitlines())
    return message if isinstance(error, (ValueError, OSError)) else f"{type(error).__name__}: {message}"


def _is_ours(error: BaseException) -> bool:
    files = [frame.f_code.co_filename for frame, _ in tracebacks.walk_tb(error.__traceback__)]
    return bool(files) and Path(files[-1]).is_relative_to(_PACKAGE)
