"""Hand a command over to MONAI, in this process."""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Sequence


def hand_over(words: Sequence[str]) -> None:
    """Do what ``python -m monai.bundle`` with these words does, from its import path to its exit code.

    Nothing is caught: an error ends the process as it does there.
    """
    if not getattr(sys.flags, "safe_path", False):  # `python -m` looks for modules in the working directory first
        sys.path[0] = os.getcwd()
    sys.argv[1:] = words
    runpy.run_module("monai.bundle", run_name="__main__", alter_sys=True)
