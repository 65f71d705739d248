"""Write a file or a folder so that it appears whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from fewlabel.disk_errors import DiskFullError, cannot_write, disk_full, is_full
from fewlabel.file_lock import try_lock
from fewlabel.folder_lock import LOCK_FILE, folders_held, is_held

_PARTIAL = re.compile(r"\..+\.(?:[0-9a-f]{1,12}|[0-9a-z_]{8})\.partial")
_DEPTH = 3  # folders below a run's in which it writes files: predictions/best, say


@contextmanager
def atomic_open(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Open a temporary sibling of ``path`` for writing and rename it to ``path`` once all of it is on disk.

    Whatever ends the process leaves the old file, or none, never part of one; after an error or an interrupt the
    sibling is removed too. Any number of threads, processes and machines may write the same path at once: the last
    one wins.

    Raises:
        DiskFullError: the file does not fit; the message names it, what is full and how much is free.
        PermissionError: the folder can't be written to; the message names it and the way out.
        ValueError: the file's name is too long for the file system.
    """
    target = Path(path)
    partial = _sibling(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        stream = open(partial, "xb")  # noqa: SIM115 - closed below, before the rename
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise ValueError(
                f"{target}: the file system takes no name that long, which has {len(partial.name) - len(target.name)} "
                "characters more while the file is written: shorten it"
            ) from error
        raise cannot_write(target if is_full(error) else target.parent, error) from error
    try:
        with stream:
            try_lock(stream)  # tells remove_leftovers that this writer lives
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, target)
    except (OSError, RuntimeError) as error:
        cause = _cause(partial, error)
        partial.unlink(missing_ok=True)
        if isinstance(cause, OSError) and is_full(cause):
            raise disk_full(target, cause) from error
        if isinstance(cause, OSError) and cause.errno is not None and cause.filename is None:
            raise OSError(f"{target}: not written ({cause.strerror}); what was there before is as it was") from error
        raise cause  # noqa: B904 - the error itself, or an interrupt that it covers
    finally:
        partial.unlink(missing_ok=True)


def atomic_write(path: str | os.PathLike[str], content: bytes) -> Path:
    """Write ``content`` to ``path``, see :func:`atomic_open`, and return the path."""
    with atomic_open(path) as stream:
        stream.write(content)
    return Path(path)


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Make a temporary sibling of the folder ``path`` to be filled, and rename it to ``path`` once all is in it.

    What killed runs left of the same folder is removed first.

    Raises:
        DiskFullError: what is to be in it does not fit.
        OSError: ``path`` exists and is not empty.
        PermissionError: the folder's parent can't be written to.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for left in target.parent.glob(f".{target.name}.*.partial"):
            if _PARTIAL.fullmatch(left.name) and left.is_dir() and _is_abandoned(left):
                shutil.rmtree(left, ignore_errors=True)
        partial = _sibling(target)
        partial.mkdir()
    except OSError as error:
        raise cannot_write(target.parent, error) from error
    try:
        with folders_held(partial):  # tells the next run whether this one lives
            yield partial
        os.replace(partial, target)
    except DiskFullError as error:
        raise DiskFullError(str(error).replace(str(partial), str(target))) from error
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise (disk_full(target, error) if is_full(error) else error) from error.__cause__
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def require_writable(folder: str | os.PathLike[str]) -> None:
    """Make sure, before any work, that files can be written into a folder, which need not exist yet.

    Raises:
        PermissionError: they can't.
    """
    place = next(parent for parent in (Path(folder).absolute(), *Path(folder).absolute().parents) if parent.exists())
    probe = _sibling(place / "probe")
    try:
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise cannot_write(folder, error) from error


def remove_leftovers(folder: str | os.PathLike[str]) -> None:
    """Remove what killed processes were writing in a folder, and nothing that a living one is."""
    for place, folders, names in os.walk(folder):
        if len(Path(place).relative_to(folder).parts) >= _DEPTH:
            folders.clear()
        folders[:] = [name for name in folders if not _PARTIAL.fullmatch(name)]  # atomic_folder's own
        for name in filter(_PARTIAL.fullmatch, names):
            left = Path(place, name)
            with left.open("r+b") as stream:
                if try_lock(stream) is not False:
                    left.unlink(missing_ok=True)


def _sibling(target: Path) -> Path:
    return target.with_name(f".{target.name}.{secrets.token_hex(6)}.partial")


def _is_abandoned(partial: Path) -> bool:
    """Return whether nobody fills a folder any more; one without a lock may just have been made."""
    if (partial / LOCK_FILE).is_file():
        return not is_held(partial)
    return time.time() - partial.stat().st_mtime > 3600


def _cause(partial: Path, error: Exception) -> BaseException:
    """Return what lies below a writer's error: an interrupt, a full disk, or the error itself.

    Closing its archive, ``torch.save`` complains of an unexpected position, whatever had stopped it; NumPy says how
    many bytes were written, and not why no more.
    """
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, (KeyboardInterrupt, SystemExit)) or is_full(link):
            return link
        link = link.__cause__ or link.__context__
    try:
        with open(partial, "ab", buffering=0) as stream:
            for _ in range(2):  # the last block of a full disk may have room for a part
                stream.write(bytes(1 << 16))
    except OSError as refusal:
        if is_full(refusal):
            return refusal
    return error
