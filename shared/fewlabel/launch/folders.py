"""The folders of bundles: in a checkout, in an installed package, in a zip, or anywhere by path."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import fewlabel

INSTALLED = "_bundles"  # setup.py puts the bundles there, in the package


def bundle_folder(bundle: str | os.PathLike[str]) -> Path:
    """Return the folder of a bundle that is given by its folder or its name.

    A name is looked for in the working directory, where copies are, then among the bundles of the checkout, then among
    the installed ones; a zip that carries this package has one bundle, itself.

    Raises:
        FileNotFoundError: no such bundle.
    """
    folder = Path(bundle)
    if (folder / "configs").is_dir():
        return folder
    if folder.name in ("", "..") or len(folder.parts) > 1:
        raise FileNotFoundError(f"{folder}: no bundle, it has no folder configs; name a bundle or its folder")
    for place in _places():
        if place.name == folder.name and _is_bundle(place):
            return place
    known = ", ".join(known_bundles()) or "none"
    raise FileNotFoundError(
        f"{folder}: no such bundle; the known ones are {known}; name one of them, or a bundle's folder"
    )


def known_bundles() -> list[str]:
    """Return the names that :func:`bundle_folder` finds from the working directory."""
    places = [*Path.cwd().iterdir(), *_places()]
    return sorted({place.name for place in places if _is_bundle(place)})


def is_installed(folder: str | os.PathLike[str]) -> bool:
    """Return whether a bundle is one that was installed with the package, whose folder is not to be written to."""
    return Path(folder).resolve().parent == (_package() / INSTALLED).resolve()


def work_folder(folder: str | os.PathLike[str]) -> Path:
    """Return where a bundle's runs read and write: its own folder, or one of its name in the working directory.

    What is installed belongs to the environment: the next installation replaces it, and users often cannot write
    there. Runs of an installed bundle leave ``eval/`` and ``models/`` in the working directory instead.
    """
    place = Path(folder)
    return Path.cwd() / place.name if is_installed(place) else place


def _places() -> Iterator[Path]:
    package = _package()
    yield package.parent
    for collection in (package.parents[1] / "bundles", package / INSTALLED):
        if collection.is_dir():
            yield from collection.iterdir()


def _package() -> Path:
    return Path(fewlabel.__file__).parent


def _is_bundle(folder: Path) -> bool:
    return os.path.isfile(folder / "configs" / "metadata.json")  # False where we may not look
