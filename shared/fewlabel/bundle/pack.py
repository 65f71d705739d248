"""Pack a bundle and this package into one zip that runs where the package is not installed."""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

import fewlabel
from fewlabel.atomic import appearing
from fewlabel.bundle.root import find_root
from fewlabel.handlers.models import load_network

_REQUIRED = ("LICENSE", "configs/metadata.json", "configs/inference.json")
_FOLDERS = ("configs", "docs")
_WEIGHTS = ("models/model.pt", "models/model.json")
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the oldest time that a zip can tell


def pack_bundle(bundle: str | os.PathLike[str], out: str | os.PathLike[str] = "dist", weights: bool = True) -> Path:
    """Write ``<name>_v<version>.zip``: a bundle's configs, docs, licence and weights, and this package beside them.

    In the zip all lies under ``<name>/``, as in the zips of MONAI's model zoo, and ``fewlabel/`` beside ``configs/``:
    MONAI puts that folder first on ``sys.path``. The same files give the same bytes, whatever their times and the order
    in which a file system lists them.

    Args:
        bundle: a bundle's folder, or its name, see :func:`fewlabel.bundle.find_root`.
        out: folder of the zip.
        weights: take ``models/model.pt`` along, if there is one, and the settings beside it.

    Returns:
        The zip.

    Raises:
        FileNotFoundError: no such bundle, or a file that every bundle has is missing.
        ValueError: the metadata has no name or version that can name a file, or the weights do not fit
            ``network_def`` of ``inference.json``.
    """
    root = _root(bundle)
    name, version = _identity(root)
    files = {f"{name}/{path.relative_to(root).as_posix()}": path for path in _bundle_files(root, weights)}
    package = Path(fewlabel.__file__).parent
    files |= {f"{name}/fewlabel/{path.relative_to(package).as_posix()}": path for path in _files(package)}
    if f"{name}/{_WEIGHTS[0]}" in files:
        _check_weights(root)
    archive = Path(out) / f"{name}_v{version}.zip"
    with appearing(archive) as stream, zipfile.ZipFile(stream, "w") as packed:
        for entry, path in sorted(files.items()):
            info = zipfile.ZipInfo(entry, _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system = 3  # Unix: what the permissions below are read by
            info.external_attr = 0o100644 << 16
            packed.writestr(info, path.read_bytes())
    return archive


def _root(bundle: str | os.PathLike[str]) -> Path:
    folder = Path(bundle)
    if (folder / "configs").is_dir():
        return folder
    if len(folder.parts) > 1 or folder.is_dir():
        raise FileNotFoundError(f"{folder}: no bundle, it has no folder configs; name a bundle or its folder")
    return Path(find_root(str(bundle)))


def _identity(root: Path) -> tuple[str, str]:
    for required in _REQUIRED:
        if not (root / required).is_file():
            raise FileNotFoundError(f"{root / required}: no such file; every bundle has one, so add it")
    file = root / "configs" / "metadata.json"
    try:
        metadata = json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{file}: not valid JSON ({error})") from error
    name, version = (str(metadata.get(key, "")) for key in ("name", "version"))
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(f"{file}: the name is {name!r}; expected small letters, digits and underscores")
    if not _VERSION.fullmatch(version):
        raise ValueError(f'{file}: the version is {version!r}; expected three numbers such as "0.1.0"')
    return name, version


def _bundle_files(root: Path, weights: bool) -> Iterator[Path]:
    yield root / "LICENSE"
    for folder in _FOLDERS:
        yield from _files(root / folder)
    if weights and (root / _WEIGHTS[0]).is_file():
        yield from (root / file for file in _WEIGHTS if (root / file).is_file())


def _files(folder: Path) -> Iterator[Path]:
    """Every file below a folder but hidden ones and what Python compiled."""
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        if path.is_file() and "__pycache__" not in parts and not any(part.startswith(".") for part in parts):
            yield path


def _check_weights(root: Path) -> None:
    """Build the network of ``inference.json`` and load the weights into it, strictly."""
    parser = ConfigParser()
    parser.read_config(str(root / "configs" / "inference.json"))
    parser["bundle_root"] = str(root.resolve())
    parser["checkpoint"] = str(root.resolve() / _WEIGHTS[0])
    network: Any = parser.get_parsed_content("network_def")
    load_network(network, root / _WEIGHTS[0])
