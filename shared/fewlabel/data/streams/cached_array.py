"""Arrays on disk with a checksum behind them: memory-mapped as any ``.npy`` file, and known to be whole."""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from fewlabel.atomic import atomic_open

_SEAL = re.compile(rb"\ncrc32 ([0-9a-f]{8}) of (\d{20})\n")
_SEAL_LENGTH = len(b"\ncrc32 01234567 of 01234567890123456789\n")
_BLOCK = 1 << 22


def write_array(file: Path, array: NDArray[Any]) -> None:
    """Write an array as ``.npy``, with the CRC-32 of all its bytes and their number behind it.

    Raises:
        DiskFullError: it does not fit.
    """
    with atomic_open(file) as stream:
        counted = _Counted(stream)
        np.save(counted, array)
        stream.write(b"\ncrc32 %08x of %020d\n" % (counted.checksum, counted.length))


def is_whole(file: Path) -> bool:
    """Return whether a file is as :func:`write_array` wrote it, to the last bit; all of it is read."""
    checksum = length = 0
    last = b""
    with open(file, "rb") as stream:
        while block := last + stream.read(_BLOCK):
            # what may be the seal is kept back until more follows
            cut = max(len(block) - _SEAL_LENGTH, 0)
            if len(block) == len(last):
                break
            checksum = zlib.crc32(memoryview(block)[:cut], checksum)
            length += cut
            last = block[cut:]
    seal = _SEAL.fullmatch(last)
    return seal is not None and (int(seal[1], 16), int(seal[2])) == (checksum, length)


class _Counted:
    """A stream that notes the checksum and the number of the bytes that go through it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream = stream
        self.checksum = 0
        self.length = 0

    def write(self, content: bytes) -> int:
        self.checksum = zlib.crc32(content, self.checksum)
        self.length += len(content)
        return self.stream.write(content)
