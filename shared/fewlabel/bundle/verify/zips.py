"""Read a zip that somebody else made: nothing is written, nothing runs, and nothing large is unfolded unasked."""

from __future__ import annotations

import os
import re
import stat
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

_MAX_FILES = 10_000
_MAX_BYTES = 4 * 2**30
_MAX_RATIO, _RATIO_FROM = 100, 2**20  # text shrinks to a tenth; a bomb to a thousandth
_BROKEN = (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError)


class ZipFiles:
    """The files of a bundle's zip by their path below its one top folder.

    Args:
        archive: the zip.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is no zip; or one that no honest packer writes: with absolute paths, paths that leave the folder,
            links, devices, encrypted, overlapping or equally named entries, several top folders, or files that
            unfold to more than a hundred times their size, or to more than 4 GiB in all.
    """

    def __init__(self, archive: str | os.PathLike[str]) -> None:
        self.place = Path(archive)
        with _opened(self.place) as packed:
            entries = packed.infolist()
            problems = [*_problems(entries), *_bombs(entries, self.place.stat().st_size)]
        if problems:
            more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
            raise ValueError(
                f"{archive}: refused, {'; '.join(problems[:3])}{more}; nothing was unpacked. Get the zip from someone "
                "you trust, packed with `fewlabel pack`"
            )
        files = [entry for entry in entries if not entry.is_dir()]
        self.name = PurePosixPath(files[0].filename).parts[0]
        self._entries = {entry.filename.partition("/")[2]: entry for entry in files}
        self.sizes = {path: entry.file_size for path, entry in self._entries.items()}

    def read(self, path: str) -> bytes:
        """Return the content of a file.

        Raises:
            ValueError: the zip is damaged there.
        """
        with _opened(self.place) as packed:
            try:
                return packed.read(self._entries[path])
            except (*_BROKEN, KeyError) as error:
                raise ValueError(f"{self.place}: {path!r} is damaged ({error}); get the zip again") from error

    def extract(self, folder: str | os.PathLike[str]) -> Path:
        """Write all files below ``folder``, which must be new or empty, and return the bundle's folder in it."""
        root = Path(folder) / self.name
        for path in self.sizes:
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(self.read(path))
        return root


@contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile]:
    if not archive.is_file():
        raise FileNotFoundError(f"{archive}: no such file; name a bundle, its folder or its zip")
    try:
        packed = zipfile.ZipFile(archive)
    except _BROKEN as error:
        raise ValueError(f"{archive}: not a zip, or damaged ({error}); get it again") from error
    with packed:
        yield packed


def _problems(entries: list[zipfile.ZipInfo]) -> Iterator[str]:
    if not any(not entry.is_dir() for entry in entries):
        yield "it is empty"
        return
    if len(entries) > _MAX_FILES:
        yield f"it has {len(entries)} entries, more than {_MAX_FILES}"
        return
    for entry in entries:
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if not _is_plain(entry.orig_filename):
            yield f"{entry.orig_filename!r} leaves the folder or is no plain path"
        elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            yield f"{entry.filename!r} is {'a link' if stat.S_ISLNK(kind) else 'no ordinary file'}"
        elif entry.flag_bits & 1:
            yield f"{entry.filename!r} is encrypted"
    yield from _clashes([entry.orig_filename for entry in entries])


def _is_plain(name: str) -> bool:
    parts = name.removesuffix("/").split("/")
    characters = name.isprintable() and not re.search(r'[\\:*?"<>|]', name)
    return characters and all(part not in ("", ".", "..") and not part.endswith((" ", ".")) for part in parts)


def _clashes(names: list[str]) -> Iterator[str]:
    """Names that are one file on some system, files that are folders too, and more than one top folder."""
    seen: dict[str, str] = {}
    for name in names:
        folded = name.removesuffix("/").casefold()
        if folded in seen:
            yield f"{name!r} is there twice"
        seen[folded] = name
    for name in names:
        above = (parent.as_posix().casefold() for parent in PurePosixPath(name).parents)
        if clash := next((seen[folder] for folder in above if not seen.get(folder, "/").endswith("/")), None):
            yield f"{clash!r} is a file and a folder"
    tops = sorted({name.split("/")[0] for name in names})
    if len(tops) > 1:
        yield f"it has {len(tops)} entries at the top ({', '.join(map(repr, tops[:3]))}), not the bundle's folder alone"
    elif any(name == tops[0] for name in names):
        yield f"{tops[0]!r} is a file where the bundle's folder should be"


def _bombs(entries: Iterable[zipfile.ZipInfo], archive_size: int) -> Iterator[str]:
    sizes = [(entry.filename, entry.file_size, entry.compress_size) for entry in entries]
    for name, size, packed in sizes:
        if size > _RATIO_FROM and size > _MAX_RATIO * packed:
            yield f"{name!r} would unfold from {packed:,} to {size:,} bytes"
    if (whole := sum(size for _, size, _ in sizes)) > _MAX_BYTES:
        yield f"it would unfold to {whole:,} bytes, more than {_MAX_BYTES:,}"
    if sum(packed for _, _, packed in sizes) > archive_size:
        yield "its entries overlap"
