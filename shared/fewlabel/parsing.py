"""On a command line ``--key false`` and ``--key null`` reach a config as words, of which any counts as true."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def parse_bool(switch: bool | str) -> bool:
    """Return a switch of a config as bool.

    Raises:
        ValueError: neither true nor false.

    >>> parse_bool(True), parse_bool("true"), parse_bool("False")
    (True, True, False)
    """
    word = str(switch).lower()
    if word not in ("true", "false"):
        raise ValueError(f"expected true or false, got {switch!r}")
    return word == "true"


def parse_arguments(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function read the words true and false where an argument is a ``bool``, and null where it may be None.

    For what people set on a command line, as ``--train#augmentation#flips false``, in the words of the config files.

    Raises:
        ValueError: such an argument is neither true nor false; the message names it.

    >>> @parse_arguments
    ... def flips(flip: bool = True) -> bool:
    ...     return flip
    >>> flips(), flips("false"), flips(flip=False)
    (True, False, False)
    >>> @parse_arguments
    ... def size(side: int | None = 8) -> int | None:
    ...     return side
    >>> size(), size("null")
    (8, None)
    """
    signature = inspect.signature(function)
    annotations = {name: parameter.annotation for name, parameter in signature.parameters.items()}
    switches = [name for name, annotation in annotations.items() if annotation in (bool, "bool")]
    optional = [name for name, annotation in annotations.items() if "None" in str(annotation).split(" | ")]

    @functools.wraps(function)
    def reading(*args: P.args, **kwargs: P.kwargs) -> R:
        given = signature.bind(*args, **kwargs)
        for name in switches:
            if name in given.arguments:
                try:
                    given.arguments[name] = parse_bool(given.arguments[name])
                except ValueError as error:
                    raise ValueError(f"{name}: {error}") from None
        given.arguments.update({name: None for name in optional if given.arguments.get(name) == "null"})
        return function(*given.args, **given.kwargs)

    return reading
