"""What is wrong with the words of a command line, said before Fire sees them, and how Fire is to read them."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Collection, Sequence

_ANY = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def unknown_command(word: str, commands: Collection[str]) -> str:
    """Return the message for a word that is no command, with the nearest one."""
    nearest = difflib.get_close_matches(word, commands, n=1)
    hint = f"the nearest is {nearest[0]}; " if nearest else ""
    return f"{word!r} is no command, {hint}the commands are {', '.join(sorted(commands))}"


def missing_arguments(command: Callable[..., object], words: Sequence[str]) -> list[str]:
    """Return the required arguments of a command that its words do not give, in their order.

    Words that ask for help, and single dashes and ``--``, which Fire reads in ways of its own, are left to Fire.

    Args:
        command: the function that is called.
        words: what stands behind the command's name.

    >>> def copy(bundle: str, directory: str, links: bool = False) -> None: ...
    >>> missing_arguments(copy, ["mcsc", "--links", "true"])
    ['directory']
    >>> missing_arguments(copy, ["--directory=here", "mcsc"])
    []
    """
    if any(re.fullmatch(r"--help|--|-([^-].*)?", word, re.DOTALL) for word in words):
        return []
    named = {word[2:].partition("=")[0].replace("-", "_") for word in words if word.startswith("--")}
    # Fire takes the word behind an option as its value
    before = ["", *words]
    positional = sum(
        not word.startswith("--") and (not last.startswith("--") or "=" in last)
        for last, word in zip(before, words, strict=False)
    )
    required = [
        parameter for name, parameter in inspect.signature(command).parameters.items()
        if parameter.default is parameter.empty and name not in named and parameter.kind not in _ANY
    ]  # fmt: skip
    by_word = [parameter.name for parameter in required if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]
    given = by_word[:positional]
    return [parameter.name for parameter in required if parameter.name not in given]


def hand_on_text(command: Callable[..., object]) -> None:
    """Let text, paths among it, arrive as typed: Fire would read c#1 as c, and 2024_02_02 as 20240202."""
    from fire.decorators import SetParseFn, SetParseFns
    from fire.parser import DefaultParseValue

    parameters = inspect.signature(command).parameters.values()
    others = [parameter.name for parameter in parameters if parameter.annotation not in ("str", "str | None")]
    SetParseFn(str)(command)
    SetParseFns(**dict.fromkeys(others, DefaultParseValue))(command)
