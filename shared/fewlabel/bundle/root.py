"""Find the folder that a running bundle is in, whatever the working directory."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import fewlabel
from fewlabel.json_files import read_json
from fewlabel.launch.folders import INSTALLED, work_folder


def find_root(name: str) -> str:
    """Return the absolute path of the folder that the bundle called ``name`` reads weights from and writes to.

    ``monai.bundle`` leaves ``bundle_root`` to the configuration, which can't see its own file. It puts the bundle's
    folder second on ``sys.path``, though, before it runs; a zip carries this package inside the bundle; and in a
    checkout the bundles lie beside the package. The first folder whose ``configs/metadata.json`` has this name is it.
    A bundle that was installed with the package works in a folder of its name in the working directory instead, see
    :func:`fewlabel.launch.work_folder`.

    Args:
        name: the bundle's ``name`` in its metadata.

    Raises:
        FileNotFoundError: none of these places holds the bundle.
    """
    for folder in _candidates(name):
        if _is_bundle(folder, name):
            return str(work_folder(folder.resolve()).resolve())
    raise FileNotFoundError(
        f"can't find the folder of the bundle {name!r}; name it with --bundle_root /path/to/{name}, or run the "
        "configuration through python -m monai.bundle run"
    )


def _candidates(name: str) -> Iterator[Path]:
    # the first entry is the working directory or the script's, where another copy may lie: to be believed later
    yield from (Path(entry) for entry in sys.path[1:])
    package = Path(fewlabel.__file__).parent
    yield package.parent
    yield from (Path(entry) for entry in sys.path[:1])
    yield Path.cwd()
    yield package.parents[1] / "bundles" / name
    yield package / INSTALLED / name


def _is_bundle(folder: Path, name: str) -> bool:
    metadata = folder / "configs" / "metadata.json"
    try:
        return bool(metadata.is_file() and read_json(metadata)["name"] == name)
    except (OSError, ValueError, KeyError, TypeError):
        return False  # some other project's folder of that shape; ours is still to be found
