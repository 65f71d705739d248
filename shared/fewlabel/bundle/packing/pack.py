"""Pack a bundle and this package into one zip that runs where the package is not installed."""

from __future__ import annotations

import logging
import os
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import fewlabel
from fewlabel.atomic import atomic_open, require_writable
from fewlabel.bundle.checkpoint import NETWORKS, check_weights
from fewlabel.bundle.packing.large_files import LARGE_FILES, LIMIT_MB, dump, entry, parse
from fewlabel.json_files import read_json
from fewlabel.launch import bundle_folder, work_folder
from fewlabel.launch.folders import INSTALLED

_log = logging.getLogger(__name__)
_REQUIRED = ("LICENSE", "configs/metadata.json", "configs/inference.json")
_FOLDERS = ("configs", "docs")
_NOTE = "models/model.json"
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the oldest time that a zip can tell
_MB = 10**6


def pack_bundle(
    bundle: str | os.PathLike[str],
    out: str | os.PathLike[str] = "dist",
    weights: bool = True,
    url: str | None = None,
    large_file_mb: float = LIMIT_MB,
) -> Path:
    """Write ``<name>_v<version>.zip``: a bundle's configs, docs, license and weights, and this package beside them.

    In the zip all lies under ``<name>/``, as in the zips of MONAI's model zoo, and ``fewlabel/`` beside ``configs/``:
    MONAI puts that folder first on ``sys.path``. The same files give the same bytes, whatever their times and the order
    in which a file system lists them.

    Args:
        bundle: a bundle's folder, or its name, see :func:`fewlabel.launch.bundle_folder`.
        out: folder of the zip.
        weights: take ``models/model.pt`` along, if there is one, and the settings beside it; and the second student's
            ``models/model_second.pt``, if there is one and ``inference.json`` has a use for it.
        url: address of the folder where large files will lie, under the path they have in the bundle. They stay out of
            the zip, and ``large_files.yml`` says where ``python -m monai.bundle download_large_files`` gets them and
            what their SHA-256 is. None: they are packed like the others.
        large_file_mb: files above so many megabytes are large; the model zoo's limit is 25.

    Returns:
        The zip.

    Raises:
        FileNotFoundError: no such bundle, or a file that every bundle has is missing.
        ValueError: the metadata has no name or version that can name a file, or weights do not fit the network that
            ``inference.json`` defines for them.
    """
    if url is not None and not re.match(r"https?://\S+$", url):
        raise ValueError(f"url is {url!r}; expected the address of a folder, such as https://example.org/mcsc/0.1.0")
    if isinstance(large_file_mb, bool) or not isinstance(large_file_mb, (int, float)) or large_file_mb <= 0:
        raise ValueError(f"large_file_mb is {large_file_mb!r}; expected a number of megabytes above 0")
    require_writable(out)
    root = bundle_folder(bundle)
    name, version = _identity(root)
    files = bundle_files(root, weights)
    for file in NETWORKS.keys() & files.keys():
        check_weights(root, file)
    listed = _large_files(root, files, url, large_file_mb) if weights else []
    contents: dict[str, Path | bytes] = {**files, **({LARGE_FILES: dump(listed)} if listed else {})}
    # The whole package, not only what this bundle needs: copies that are equal can be shared by the bundles of a
    # server, see fewlabel.bundle.require_same_package; and all of it is smaller than one network.
    package = Path(fewlabel.__file__).parent
    sources = (path for path in _files(package) if path.relative_to(package).parts[0] != INSTALLED)
    contents |= {f"fewlabel/{path.relative_to(package).as_posix()}": path for path in sources}
    return _write(Path(out) / f"{name}_v{version}.zip", {f"{name}/{path}": what for path, what in contents.items()})


def packed_weights(archive: Path) -> str:
    """Say in a sentence which weights a zip of :func:`pack_bundle` has."""
    with zipfile.ZipFile(archive) as files:
        inside = [entry.filename.partition("/")[2] for entry in files.infolist()]
        listed = next((name for name in files.namelist() if name.endswith(f"/{LARGE_FILES}")), None)
        elsewhere = [str(item["path"]) for item in parse(files.read(listed))] if listed else []
    parts = []
    if packed := [file for file in NETWORKS if file in inside]:
        parts.append(f"with the weights {' and '.join(packed)}")
    if apart := [file for file in NETWORKS if file in elsewhere]:
        parts.append(f"without the weights {' and '.join(apart)}, which {LARGE_FILES} says where to get")
    return "; ".join(parts) or "without weights: who segments with it trains it first, or names some with --checkpoint"


def bundle_files(root: Path, weights: bool = True) -> dict[str, Path]:
    """Return the files that belong to a bundle, by their path in it: not what runs of it left behind."""
    found = {path.relative_to(root).as_posix(): path for folder in _FOLDERS for path in _files(root / folder)}
    if (root / "LICENSE").is_file():
        found["LICENSE"] = root / "LICENSE"
    if weights:
        work = work_folder(root)
        found |= {file: work / file for file in NETWORKS if (work / file).is_file() and _is_used(root, file)}
        if "models/model.pt" in found and (work / _NOTE).is_file():
            found[_NOTE] = work / _NOTE
    return found


def _is_used(root: Path, file: str) -> bool:
    # the bundle of a single network leaves second_network_def out
    config = root / "configs" / "inference.json"
    return file == "models/model.pt" or bool(config.is_file() and _object(config).get(NETWORKS[file]))


def _identity(root: Path) -> tuple[str, str]:
    for required in _REQUIRED:
        if not (root / required).is_file():
            raise FileNotFoundError(f"{root / required}: no such file; every bundle has one, so add it")
    file = root / "configs" / "metadata.json"
    metadata = _object(file)
    name, version = (str(metadata.get(key, "")) for key in ("name", "version"))
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(f"{file}: the name is {name!r}; expected small letters, digits and underscores")
    if not _VERSION.fullmatch(version):
        raise ValueError(f'{file}: the version is {version!r}; expected three numbers such as "0.1.0"')
    return name, version


def _object(file: Path) -> dict[str, object]:
    content = read_json(file)
    if not isinstance(content, dict):
        raise ValueError(f"{file}: expected a JSON object, found {type(content).__name__}")
    return content


def _files(folder: Path) -> Iterator[Path]:
    """Every file below a folder but hidden ones and what Python compiled."""
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        if path.is_file() and "__pycache__" not in parts and not any(part.startswith(".") for part in parts):
            yield path


def _large_files(root: Path, files: dict[str, Path], url: str | None, limit_mb: float) -> list[dict[str, str]]:
    """Take large files out of ``files``, and return the entries of ``large_files.yml``."""
    note = root / LARGE_FILES
    known = parse(note.read_bytes(), note) if note.is_file() else []
    listed = [item for item in known if not (root / str(item["path"])).is_file()]  # what lies here is packed afresh
    for path, file in sorted(files.items()):
        size = file.stat().st_size / _MB
        if size <= limit_mb:
            continue
        if url is None:
            _log.warning(
                "%s has %.0f MB and is packed; the model zoo refuses files above %g MB: to submit the bundle, put it "
                "on a server and name that with --url",
                file, size, limit_mb,
            )  # fmt: skip
            continue
        listed.append(entry(path, file, url))
        _log.warning("%s has %.0f MB and stays out of the zip; upload it to %s", file, size, listed[-1]["url"])
        del files[path]
    return listed


def _write(archive: Path, contents: dict[str, Path | bytes]) -> Path:
    with atomic_open(archive) as stream, zipfile.ZipFile(stream, "w") as packed:
        for name, content in sorted(contents.items()):
            info = zipfile.ZipInfo(name, _EPOCH)
            # weights are as good as random: compressing them costs seconds and gains nothing
            info.compress_type = zipfile.ZIP_STORED if name.endswith(".pt") else zipfile.ZIP_DEFLATED
            info.create_system = 3  # Unix: what the permissions below are read by
            info.external_attr = 0o100644 << 16
            packed.writestr(info, content if isinstance(content, bytes) else content.read_bytes())
    return archive
