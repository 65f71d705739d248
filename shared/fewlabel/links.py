"""Files that are named in a folder and whose content is elsewhere: links that point nowhere, pointers of git."""

from __future__ import annotations

import os
from pathlib import Path

_ANNEX = ".git/annex/objects"
_ANNEX_POINTER = b"/annex/objects/"
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_LONGEST_POINTER = 4096  # bytes; git-annex takes no larger file for a pointer


def is_broken_link(path: Path) -> bool:
    """Whether a path is a link that points nowhere, or in a circle."""
    return path.is_symlink() and not os.path.exists(path)


def absence(path: Path) -> str:
    """Say what a path has instead of its content, and how to fetch it; empty where the content is there.

    DataLad and git-annex link to content that was not fetched yet, or leave a small file in its place, as Git LFS does.
    """
    # a part of the path may be the link, as that of a whole folder
    for link in (path, *path.parents):
        if is_broken_link(link):
            target = os.readlink(link)
            return f"is a link to {target}, which does not exist: {_fetch(link, target)}"
    try:
        if not path.is_file() or path.stat().st_size > _LONGEST_POINTER:
            return ""
        with open(path, "rb") as stream:
            start = stream.read(len(_LFS_POINTER))
    except OSError:  # whoever reads the file says why that fails
        return ""
    if start.startswith(_ANNEX_POINTER):
        return f"holds a pointer of git-annex instead of its content: {_annex(path)}"
    if start == _LFS_POINTER:
        return f"holds a pointer of Git LFS instead of its content: fetch it with `git lfs pull --include {path.name}`"
    return ""


def require_content(path: Path) -> None:
    """Refuse a file or folder whose content was not fetched.

    Raises:
        FileNotFoundError: the path is a link that points nowhere, or a pointer of git; with how to fetch the content.

    """
    if fault := absence(path):
        raise FileNotFoundError(f"{path} {fault}")


def _fetch(link: Path, target: str) -> str:
    if _ANNEX in Path(target).as_posix():
        return _annex(link)
    return "restore what it points to, or remove the link"


def _annex(path: Path) -> str:
    return f"fetch it with `datalad get {path}` or `git annex get {path}`, or remove it"
