"""Say which file could not be written and why: what is full and how much is free, or which folder refuses."""

from __future__ import annotations

import errno
import os
from pathlib import Path

# the disk, a person's quota on it, and the largest file of a file system or of a process (ulimit -f)
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class DiskFullError(OSError):
    """A file could not be written for lack of room."""


def is_full(error: BaseException | None) -> bool:
    """Return whether the system refused to write for lack of room.

    >>> is_full(OSError(errno.ENOSPC, "No space left on device")), is_full(OSError(errno.EACCES, "Permission denied"))
    (True, False)
    """
    return isinstance(error, DiskFullError) or (isinstance(error, OSError) and error.errno in _FULL)


def disk_full(file: str | os.PathLike[str], error: OSError) -> DiskFullError:
    """Return the error to raise for a file that did not fit; measured now, so remove first what was written of it."""
    place = next(folder for folder in (Path(file).absolute(), *Path(file).absolute().parents) if folder.exists())
    mount = next(folder for folder in (place.resolve(), *place.resolve().parents) if os.path.ismount(folder))
    disk = os.statvfs(place)
    free, total = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
    room = f"{readable(free)} of {readable(total)} are free"
    if error.errno == errno.EDQUOT:
        reason = f"your quota on {mount} is used up; on the disk itself {room}"
    elif error.errno == errno.EFBIG:
        reason = f"files there may not grow that large (ulimit -f, or the file system's limit); on {mount} {room}"
    elif disk.f_files and not disk.f_favail:
        reason = f"{mount} takes no more files: all its {disk.f_files} inodes are used; {room}"
    else:
        reason = f"it did not fit on {mount}, where {room}"
    return DiskFullError(
        f"{file}: not written, {reason}; what was there before is as it was; make room, or choose another folder"
    )


def cannot_write(folder: str | os.PathLike[str], error: OSError) -> OSError:
    """Return the error to raise for a folder in which nothing can be begun."""
    if is_full(error):
        return disk_full(folder, error)
    return PermissionError(
        f"{folder}: can't write there ({error.strerror}); choose another folder with --output_dir and --ckpt_dir, or "
        "change its permissions"
    )


def readable(size: float) -> str:
    """Return a number of bytes as a person reads it.

    >>> readable(512), readable(75744), readable(2.1e9)
    ('512 B', '75.7 kB', '2.1 GB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
