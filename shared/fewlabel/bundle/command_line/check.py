"""Check the command line of this process."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import monai.bundle

from fewlabel.bundle.command_line.blocks import require_block_that_applies
from fewlabel.bundle.command_line.keys import require_known_keys
from fewlabel.bundle.command_line.paths import require_texts_as_typed
from fewlabel.bundle.command_line.run_command import RunCommand, parse_run_command


def check_command_line() -> None:
    """Refuse what a command for `monai.bundle run` says and no config understands; the first line of a bundle's `run`.

    A host that runs the configuration by Python names its own keys, and has nothing checked.

    Raises:
        ValueError: the command, or an overlay that it names, has a key that no config has, a setting of the block that
            does not apply, or a path that `monai.bundle` reads as another one.

    """
    if command := _checked(sys.argv):
        require_block_that_applies(command.config_files, command.overrides)


def check_words(words: Sequence[str]) -> None:
    """Refuse the same in the words of a command that MONAI has not understood.

    Args:
        words: what follows `python -m monai.bundle`.

    Raises:
        FileNotFoundError: a config file or overlay is not there.
        ValueError: as for :func:`check_command_line`, but for settings of a block, or a file is no JSON or YAML.

    """
    _checked([str(Path(monai.bundle.__file__).with_name("__main__.py")), *words])


def _checked(argv: Sequence[str]) -> RunCommand | None:
    command = parse_run_command(argv)
    if command is not None:
        require_texts_as_typed(command.overrides, command.typed)
        require_known_keys(command.config_files, command.overrides, command.tracking)
    return command
