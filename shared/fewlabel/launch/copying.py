"""Copy a bundle to where it can be changed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from fewlabel.atomic import atomic_folder
from fewlabel.disk_errors import DiskFullError
from fewlabel.launch.folders import bundle_folder

PARTS = (
    "configs",
    "docs",
    "LICENSE",
)  # a bundle without what runs left in it, and without what its configs are made of


def copy_bundle(bundle: str | os.PathLike[str], directory: str | os.PathLike[str]) -> Path:
    """Write a copy of a bundle's configs, docs and license, which runs by itself and may be changed.

    The copy appears whole or not at all. Its runs write into it.

    Args:
        bundle: the bundle's name or folder.
        directory: where the copy is made, as a folder of the bundle's name.

    Returns:
        The copy.

    Raises:
        FileNotFoundError: no such bundle.
        FileExistsError: a file or folder of that name is there.
        PermissionError: the directory can't be written to.
    """
    source = bundle_folder(bundle).resolve()
    target = Path(directory) / source.name
    if os.path.lexists(target):
        raise FileExistsError(f"{target} exists; name another directory, or rename what is there")
    try:
        with atomic_folder(target) as partial:
            for part in PARTS:
                _copy(source / part, partial / part)
    except DiskFullError:
        raise
    except OSError as error:
        raise type(error)(
            f"{target}: can't write the copy ({error.strerror or error}); choose another directory"
        ) from error
    return target


def _copy(source: Path, target: Path) -> None:
    # contents only: what is installed may be read-only, and the copy is to be edited
    if source.is_file():
        shutil.copyfile(source, target)
    elif source.is_dir():
        target.mkdir()
        for inner in source.iterdir():
            if not inner.name.startswith(".") and inner.name != "__pycache__":
                _copy(inner, target / inner.name)
