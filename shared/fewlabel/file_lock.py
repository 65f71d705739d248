"""Lock an open file for this process, as far as system and file system can."""

from __future__ import annotations

import errno
import sys
from typing import IO, Any

if sys.platform != "win32":
    import fcntl


def try_lock(stream: IO[Any]) -> bool | None:
    """Lock a file that is open for writing until it is closed or the process ends, however that happens.

    These are POSIX's record locks: children that a process forks don't have them, so that a worker which outlives a
    killed run holds nothing, and NFS passes them on to other machines. A process that opens and closes the file once
    more gives its lock up.

    Returns:
        True: locked. False: another process has locked it. None: there are no locks here, nobody can tell.
    """
    if sys.platform == "win32":
        return None
    try:
        fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in (errno.EACCES, errno.EAGAIN) else None
    return True
