"""Refuse a file whose header claims more voxels than memory or the file itself can hold, before any are read."""

from __future__ import annotations

import gzip
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

_DEFLATE = 1032  # times smaller, at most, is what zlib packs
_LARGEST_EXTENSION = 1 << 26  # bytes between a NIfTI header and its voxels; readers hold them in memory
_CGROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def available_memory() -> int | None:
    """Bytes that this process may still take, as far as the system tells; None where it does not.

    On Linux what is free or can be freed, swap included, and no more than the limit of the container.
    """
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        told = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines)}
        free = [told["MemAvailable"] + told.get("SwapFree", 0)]
    except (OSError, ValueError, KeyError, IndexError):
        try:
            free = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
        except (AttributeError, OSError, ValueError):
            return None
    for limit in map(Path, _CGROUPS):
        if limit.is_file() and (text := limit.read_text(encoding="ascii").strip()).isdecimal():
            free.append(int(text))
    return min(free)


def require_memory(file: object, shape: Sequence[int], itemsize: int) -> None:
    """Refuse voxels that do not fit into memory, as they are stored and as single precision.

    Args:
        file: names them in the error.
        shape: voxels along each axis.
        itemsize: bytes of a stored voxel.

    Raises:
        ValueError: there is less memory; it says how much they would take.

    """
    needed, free = math.prod(map(int, shape)) * (itemsize + 4), available_memory()
    if free is not None and needed > free:
        raise ValueError(
            f"{file} would take {_size(needed)} of memory, of which {_size(free)} are free: its header claims "
            f"{' x '.join(map(str, shape))} voxels; export it again if that is wrong, else crop or resample it, or use "
            "a machine with more memory"
        )


def require_stored(file: Path, shape: Sequence[int], itemsize: int, offset: int = 0) -> None:
    """Refuse a NIfTI file that is too small for the voxels that its header claims, without unpacking it.

    Args:
        file: `.nii`, or `.nii.gz`, of which one byte holds 1032 at most.
        shape: voxels along each axis.
        itemsize: bytes of a stored voxel.
        offset: bytes before the voxels.

    Raises:
        ValueError: it is too small.

    """
    size, claimed = file.stat().st_size, offset + math.prod(map(int, shape)) * itemsize
    if size * (_DEFLATE if _is_packed(file) else 1) < claimed:
        raise ValueError(
            f"{file} is truncated or corrupt: copy it again from its source (its header claims "
            f"{' x '.join(map(str, shape))} voxels, which are {_size(claimed)}; the file has {_size(size)})"
        )


def require_small_extension(file: Path) -> None:
    """Refuse a NIfTI file whose voxels begin far behind its header: readers would load all that is between.

    Raises:
        ValueError: more than 64 MiB lie between.

    """
    with gzip.open(file) if _is_packed(file) else open(file, "rb") as stream:
        head = stream.read(540)
    order: Literal["little", "big"] = "little" if head[:4] in (b"\x5c\x01\0\0", b"\x1c\x02\0\0") else "big"
    if int.from_bytes(head[:4], order) == 540:
        offset = float(int.from_bytes(head[168:176], order, signed=True))
    elif int.from_bytes(head[:4], order) == 348 and len(head) >= 112:
        offset = memoryview(head[108:112] if order == "little" else head[108:112][::-1]).cast("f")[0]
    else:
        return  # no NIfTI, which nibabel says
    if not offset <= _LARGEST_EXTENSION:
        raise ValueError(
            f"{file} is truncated or corrupt: copy it again from its source (its header says that {offset:g} bytes lie "
            "before the voxels)"
        )


def _is_packed(file: Path) -> bool:
    return file.name.lower().endswith(".gz")


def _size(size: float) -> str:
    """Bytes for people.

    >>> _size(900), _size(3_500_000), _size(108e12)
    ('900 bytes', '3.5 MB', '108 TB')
    """
    if size < 1000:
        return f"{size:.0f} bytes"
    units = ("kB", "MB", "GB", "TB", "PB", "EB")
    power = min(int(math.log10(size) // 3), len(units))
    return f"{size / 1000**power:.3g} {units[power - 1]}"
