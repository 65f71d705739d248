"""What was typed behind `python -m monai.bundle run`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fire
import monai.bundle
from fire.decorators import SetParseFn
from fire.parser import DefaultParseValue
from monai.utils import ensure_tuple

from fewlabel.bundle.command_line.config_files import load_config

_PROGRAM = ("monai", "bundle", "__main__.py")
_VERBS = ("run", "run_workflow")


@dataclass(frozen=True)
class RunCommand:
    """A command for `monai.bundle run`.

    Attributes:
        config_files: the config files, in the order in which they are laid over each other.
        tracking: the value of `--tracking`, None without.
        overrides: values by key, as `monai.bundle` reads them, those of an `--args_file` among them.
        typed: the text of each override that is on the command line.

    """

    config_files: tuple[str, ...]
    tracking: Any
    overrides: dict[str, Any]
    typed: dict[str, str]


def is_run_command(argv: Sequence[str]) -> bool:
    """Return whether `python -m monai.bundle run` started the process with these `sys.argv`."""
    return len(argv) > 1 and Path(argv[0]).parts[-3:] == _PROGRAM and argv[1] in _VERBS


def parse_run_command(argv: Sequence[str]) -> RunCommand | None:
    """Return the command of a process that `python -m monai.bundle run` started, None of any other process.

    Args:
        argv: `sys.argv` of the process.

    Raises:
        FileNotFoundError: there is no such `--args_file`.
        ValueError: that file is no JSON or YAML, or the name of an override starts with a plus, which `monai.bundle`
            takes away.

    """
    if not is_run_command(argv):
        return None
    arguments = _arguments(argv[1:], DefaultParseValue)
    if isinstance(defaults := arguments.get("args_file"), str):
        load_config(defaults)  # says what is wrong with the file
    given = monai.bundle.update_kwargs(arguments.pop("args_file", None), **arguments)
    _require_no_plus([*arguments, *given])
    known = _arguments_of_monai()
    return RunCommand(
        tuple(str(file) for file in ensure_tuple(given.get("config_file") or ())),
        given.get("tracking"),
        {key: value for key, value in given.items() if key not in known},
        {key: text for key, text in _arguments(argv[1:], str).items() if key not in known},
    )


def _require_no_plus(names: Sequence[str]) -> None:
    for name in names:
        if name.startswith("+"):
            raise ValueError(
                f"--{name}: monai.bundle takes the plus away and would replace all of {name[1:]}; put {name} into an "
                "overlay file, where + adds, or set a single key with # between its levels; nothing was run"
            )


def _arguments(words: Sequence[str], read: Callable[[str], Any]) -> dict[str, Any]:
    """Take the words apart as `monai.bundle` does: Fire calls functions that have the signatures of MONAI's."""
    given: dict[str, Any] = {}

    def collecting(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def collect(*positional: Any, **named: Any) -> None:
            bound = inspect.signature(function).bind(*positional, **named).arguments
            given.update(bound.pop("override", {}) | bound.pop("kwargs", {}) | bound)

        return SetParseFn(read)(collect)  # type: ignore[no-any-return]

    fire.Fire({verb: collecting(getattr(monai.bundle, verb)) for verb in _VERBS}, command=list(words))
    return given


def _arguments_of_monai() -> set[str]:
    takers = (monai.bundle.run, monai.bundle.run_workflow, monai.bundle.create_workflow, monai.bundle.ConfigWorkflow)
    return {name for taker in takers for name in inspect.signature(taker).parameters} - {"override", "kwargs"}
