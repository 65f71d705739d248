"""Check the command line of this process."""

from __future__ import annotations

import sys

from fewlabel.bundle.command_line.blocks import require_block_that_applies
from fewlabel.bundle.command_line.keys import require_known_keys
from fewlabel.bundle.command_line.paths import require_paths_as_typed
from fewlabel.bundle.command_line.run_command import parse_run_command


def check_command_line() -> None:
    """Refuse what a command for `monai.bundle run` says and no config understands; the first line of a bundle's `run`.

    A host that runs the configuration by Python names its own keys, and has nothing checked.

    Raises:
        ValueError: the command, or an overlay that it names, has a key that no config has, a setting of the block that
            does not apply, or a path that `monai.bundle` reads as another one.

    """
    command = parse_run_command(sys.argv)
    if command is None:
        return
    require_paths_as_typed(command.overrides, command.typed)
    require_known_keys(command.config_files, command.overrides, command.tracking)
    require_block_that_applies(command.config_files, command.overrides)
