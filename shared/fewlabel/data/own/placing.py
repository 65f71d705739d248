"""Put a file into a data set without a copy where that is possible."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def place(source: Path, target: Path, links: bool) -> str:
    """Link or copy a file.

    Args:
        source: the file.
        target: its new path.
        links: try a symbolic link, then a hard link, before copying.

    Returns:
        What was done: ``symbolic links``, ``hard links`` or ``copies``.

    """
    target.parent.mkdir(parents=True, exist_ok=True)
    ways = (("symbolic links", os.symlink), ("hard links", os.link)) if links else ()
    for kind, make in ways:
        try:
            make(source.resolve(), target)
        except OSError:  # the file system has no such links: the next way
            continue
        return kind
    shutil.copyfile(source, target)
    return "copies"
