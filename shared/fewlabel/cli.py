"""The `fewlabel` command: each function below is a subcommand, and imports what it needs when it is called."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def check(directory: str, labeled_cases: int | None = None, seed: int = 0) -> None:
    """Validate a dataset before hours of training: print a table, every problem and its cure.

    Exits with 1 when the dataset has errors, with 2 when the command cannot run.

    Args:
        directory: The folder with imagesTr, labelsTr and dataset.json.
        labeled_cases: Train with the first so many labeled cases; all of them when left out.
        seed: Orders the labeled cases when splits.json does not.

    """
    from fewlabel.data.checks import check as check_dataset

    report = check_dataset(str(directory), labeled_cases, seed)
    print(report)
    if not report.ok:
        raise SystemExit(1)


COMMANDS = {"check": check}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; what a user got wrong is one line on stderr and the exit code 2."""
    import fire

    try:
        fire.Fire(COMMANDS, command=None if arguments is None else list(arguments), name="fewlabel")
    except (ValueError, FileNotFoundError, ImportError) as error:
        print(f"fewlabel: error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
