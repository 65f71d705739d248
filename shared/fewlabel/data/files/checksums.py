"""Know the content of files again, wherever they lie."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

_BLOCK = 1 << 20
_SAMPLED_ABOVE = 32 * _BLOCK
_SAMPLES = 32


def file_checksum(path: Path, whole: bool = True) -> str:
    """Return the SHA-256 of a file's content.

    Args:
        path: the file.
        whole: False reads of a file above 32 MiB only its size and 32 pieces of 1 MiB, evenly spread from its first
            byte to its last: for images, of which a run has many. Another export of a scan differs in all of them; a
            change of single voxels in an uncompressed file can be missed.
    """
    digest = hashlib.sha256()
    size = path.stat().st_size
    with path.open("rb") as stream:
        if whole or size <= _SAMPLED_ABOVE:
            while block := stream.read(_BLOCK):
                digest.update(block)
        else:
            digest.update(str(size).encode())
            for number in range(_SAMPLES):
                stream.seek((size - _BLOCK) * number // (_SAMPLES - 1))
                digest.update(stream.read(_BLOCK))
    return digest.hexdigest()


def files_of(image: str | Path | Sequence[str | Path]) -> list[Path]:
    """Return the files that hold a scan, by name.

    Of a folder these are all its files, and of a header such as ``.mhd`` the files beside it with the same stem, as one
    of them holds the voxels.
    """
    paths = [Path(image)] if isinstance(image, str | Path) else [Path(file) for file in image]
    if len(paths) == 1 and paths[0].is_dir():
        paths = [path for path in paths[0].iterdir() if path.is_file()]
    elif len(paths) == 1 and paths[0].suffix.lower() == ".mhd":
        paths = [path for path in paths[0].parent.iterdir() if path.is_file() and path.stem == paths[0].stem]
    return sorted(paths)


def scan_checksum(image: str | Path | Sequence[str | Path], whole: bool = True) -> str:
    """Return the checksum of a scan's files, see :func:`file_checksum`; their names and places do not count."""
    return hashlib.sha256("".join(file_checksum(path, whole) for path in files_of(image)).encode()).hexdigest()
