"""Write a file so that it appears whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def atomic_open(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Open a temporary sibling of ``path`` for writing and rename it to ``path`` once all of it is on disk.

    Whatever ends the process leaves the old file, or none, never part of one; after an error or an interrupt the
    sibling is removed too. Any number of threads, processes and machines may write the same path at once: the last
    one wins.

    Raises:
        PermissionError: the folder can't be written to; the message names it and the way out.
        ValueError: the file's name is too long for the file system.
    """
    target = Path(path)
    partial = target.with_name(f".{target.name}.{secrets.token_hex(6)}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        stream = open(partial, "xb")  # noqa: SIM115 - closed below, before the rename
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise ValueError(
                f"{target}: the file system takes no name that long, which has {len(partial.name) - len(target.name)} "
                "characters more while the file is written: shorten it"
            ) from error
        raise PermissionError(
            f"{target.parent}: can't write there ({error.strerror}); choose another folder with --output_dir and "
            "--ckpt_dir, or change its permissions"
        ) from error
    try:
        with stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def atomic_write(path: str | os.PathLike[str], content: bytes) -> Path:
    """Write ``content`` to ``path``, see :func:`atomic_open`, and return the path."""
    with atomic_open(path) as stream:
        stream.write(content)
    return Path(path)
