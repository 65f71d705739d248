"""One run at a time in a folder: a second one is refused, and what a dead one left is taken over."""

from __future__ import annotations

import atexit
import json
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from fewlabel.disk_errors import cannot_write
from fewlabel.file_lock import try_lock

_log = logging.getLogger(__name__)
LOCK_FILE = ".fewlabel.lock"
HEARTBEAT = 10.0  # seconds between two signs of life
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class FolderInUseError(OSError):
    """Another run works in the folder."""


@dataclass(frozen=True)
class Holder:
    """Who works in a folder.

    Attributes:
        pid: its process.
        host: the machine's name.
        boot: names the machine since it was started, for containers too; empty where the system has no such name.
        started: when.
        command: as typed, cut to 200 characters.
    """

    pid: int
    host: str
    boot: str
    started: str
    command: str

    @classmethod
    def this(cls) -> Holder:
        """Return this process."""
        boot = _BOOT.read_text().strip() if _BOOT.is_file() else ""
        started = datetime.now().isoformat(sep=" ", timespec="seconds")
        return cls(os.getpid(), socket.gethostname(), boot, started, " ".join(sys.argv)[:200])

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, started {self.started}: {self.command}"


class FolderLock:
    """Hold a folder until :meth:`release` or the end of the process, with a file in it that says who does.

    The system itself tells whether the process that locked the file lives, whatever became of its number. Where that
    says nothing, on another machine whose file system does not pass locks on, it tells by the file's time, which a
    living run renews every ten seconds.

    Args:
        folder: the folder; made if it does not exist.
        wait: look half a minute for a sign of life where only that can tell; otherwise a recent one counts.

    Raises:
        FolderInUseError: another process holds the folder; the message names it.
        PermissionError: the folder can't be written to.
    """

    def __init__(self, folder: Path, wait: bool = True) -> None:
        self.folder = folder
        self._is_new = not folder.exists()
        self._file = folder / LOCK_FILE
        self._owner = os.getpid()
        self._stream = self._open()
        before = _read(self._stream)
        if before is not None:
            if self._lives(before, wait):
                self._stream.close()
                raise FolderInUseError(_in_use(folder, before))
            _log.warning("%s: taken over from a run that ended without a word: %s", folder, before)
        try:
            self._stream.seek(0)
            self._stream.truncate()
            self._stream.write(json.dumps(asdict(Holder.this())).encode())
            self._stream.flush()
        except OSError as error:
            self._file.unlink(missing_ok=True)
            raise cannot_write(folder, error) from error
        self._ended = threading.Event()
        threading.Thread(target=self._beat, daemon=True, name=f"holds {folder}").start()

    def release(self) -> None:
        """Let the folder go; one that was made for the run and stayed empty goes too."""
        if os.getpid() != self._owner or self._stream.closed:  # a forked child holds nothing
            return
        self._ended.set()
        self._file.unlink(missing_ok=True)  # before the lock goes with the stream
        self._stream.close()
        if self._is_new and self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _open(self) -> IO[bytes]:
        while True:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                stream = os.fdopen(os.open(self._file, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
            except OSError as error:
                raise cannot_write(self.folder, error) from error
            self._locked = try_lock(stream)
            if self._locked is False:
                holder = _read(stream)
                stream.close()
                raise FolderInUseError(_in_use(self.folder, holder))
            # the run before may have removed the file between our opening and locking it
            if self._file.exists() and os.path.samestat(os.fstat(stream.fileno()), self._file.stat()):
                return stream
            stream.close()

    def _lives(self, holder: Holder, wait: bool) -> bool:
        """Return whether the one that is noted lives, although its lock does not keep us out."""
        here = Holder.this()
        if self._locked and here.boot == holder.boot and (here.boot or here.host == holder.host):
            return False
        seen = self._file.stat().st_mtime
        if self._now() - seen > 10 * HEARTBEAT:
            return False
        if not wait:
            return True
        _log.warning("%s: looking for a sign of life of %s", self.folder, holder)
        end = time.monotonic() + 3.5 * HEARTBEAT
        while time.monotonic() < end:
            time.sleep(HEARTBEAT / 20)
            if self._file.stat().st_mtime != seen:
                return True
        return False

    def _now(self) -> float:
        """Return the time by the clock of the file system, which may be another machine's."""
        probe = self._file.with_name(f"{LOCK_FILE}.{os.getpid()}")
        try:
            probe.touch()
            return probe.stat().st_mtime
        finally:
            probe.unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._ended.wait(HEARTBEAT):
            try:
                os.utime(self._stream.fileno())
            except (OSError, ValueError) as error:
                if not self._ended.is_set():
                    _log.warning("%s: no sign of life can be left there (%s)", self.folder, error)
                return


_held: dict[tuple[int, Path], FolderLock] = {}


@contextmanager
def folders_held(*folders: str | os.PathLike[str]) -> Iterator[None]:
    """Hold folders for a block; those that this process holds already stay its own.

    Raises:
        FolderInUseError: another process holds one of them.
        PermissionError: one of them can't be written to.
    """
    with ExitStack() as stack:
        for folder in folders:
            stack.enter_context(_hold(Path(folder)))
        yield


def hold_folder(folder: str | os.PathLike[str]) -> Callable[[], None]:
    """Hold a folder until the returned function is called or the process ends, see :func:`folders_held`."""
    stack = ExitStack()
    stack.enter_context(_hold(Path(folder)))
    atexit.register(stack.close)
    return stack.close


@contextmanager
def _hold(folder: Path) -> Iterator[None]:
    key = os.getpid(), folder.resolve()  # what a process holds, its forked children don't
    if key in _held:
        yield
        return
    _held[key] = FolderLock(folder)
    try:
        yield
    finally:
        _held.pop(key).release()


def is_held(folder: Path) -> bool:
    """Return whether a living run, of this process or another, works in a folder."""
    if (os.getpid(), folder.resolve()) in _held:
        return True
    if not (folder / LOCK_FILE).is_file():
        return False
    try:
        FolderLock(folder, wait=False).release()
    except FolderInUseError:
        return True
    return False


def _read(stream: IO[bytes]) -> Holder | None:
    """Return who is noted in a lock file, None where nobody is or a note was cut off."""
    stream.seek(0)
    try:
        return Holder(**json.loads(stream.read()))
    except (ValueError, TypeError):
        return None


def _in_use(folder: Path, holder: Holder | None) -> str:
    return (
        f"{folder}: another run works in it ({holder or 'its process is not noted'}); choose another folder with "
        "--output_dir and --ckpt_dir, or start again when that run has ended"
    )
