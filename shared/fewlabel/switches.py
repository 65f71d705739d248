"""Switches on a command line are words: ``--key false`` reaches a config as the word "false", which counts as true."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def is_on(switch: bool | str) -> bool:
    """Return a switch of a config as bool.

    Raises:
        ValueError: neither true nor false.

    >>> is_on(True), is_on("true"), is_on("False")
    (True, True, False)
    """
    word = str(switch).lower()
    if word not in ("true", "false"):
        raise ValueError(f"expected true or false, got {switch!r}")
    return word == "true"


def reads_switches(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function understand words for those of its arguments that are annotated as ``bool``.

    For what people set on a command line, as ``--train#augmentation#flips false``.

    Raises:
        ValueError: such an argument is neither true nor false; the message names it.

    >>> @reads_switches
    ... def flips(flip: bool = True) -> bool:
    ...     return flip
    >>> flips(), flips("false"), flips(flip=False)
    (True, False, False)
    """
    signature = inspect.signature(function)
    switches = [name for name, parameter in signature.parameters.items() if parameter.annotation in (bool, "bool")]

    @functools.wraps(function)
    def reading(*args: P.args, **kwargs: P.kwargs) -> R:
        given = signature.bind(*args, **kwargs)
        for name in switches:
            if name in given.arguments:
                try:
                    given.arguments[name] = is_on(given.arguments[name])
                except ValueError as error:
                    raise ValueError(f"{name}: {error}") from None
        return function(*given.args, **given.kwargs)

    return reading
