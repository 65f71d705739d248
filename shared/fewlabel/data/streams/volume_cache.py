"""Preprocess each volume once, and read it from then on as a memory map."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any, Literal

import monai
import numpy as np
import torch
from tqdm import tqdm

from fewlabel.data.files.formats import array_of, named_errors, open_image, split_ending
from fewlabel.data.streams.cached_array import is_whole, write_array
from fewlabel.data.streams.transform_description import describe_transforms
from fewlabel.errors import user_facing_cause
from fewlabel.links import require_content
from fewlabel.version import __version__

_log = logging.getLogger(__name__)
_FORMAT = "3"  # part of every cache name: raise it when the layout of a cached file changes
_READERS = 4  # threads that compute checksums
Item = Mapping[Hashable, Any]


class VolumeCache:
    """The preprocessed volumes of a list of items, one ``.npy`` file each, in a folder that runs may share.

    A cached volume is known by its files' paths, sizes and times of change, by ``preprocessing``, by ``layout`` and by
    the versions of MONAI and fewlabel, so that changed data or settings never meet an old copy. Each file ends in a
    checksum, which is compared once, here: a file that is cut short or changed is written again, with a warning.

    Args:
        data: MONAI items.
        preprocessing: from the paths under ``keys`` to tensors (C, H, W, D) there; it sees nothing else of an item.
        keys: keys that hold volumes; one that an item lacks is left out.
        arrange: from a preprocessed volume (C, H, W, D) to the array that is kept.
        layout: names what ``arrange`` does.
        cache_dir: the folder; a temporary one by default, which goes with this object.

    Attributes:
        files: for each item, the file of each of its keys.

    Raises:
        FileNotFoundError: a listed file does not exist.
        ValueError: a volume can't be preprocessed (the message names its file), is no volume, or image and label
            differ in shape.

    """

    def __init__(
        self,
        data: Sequence[Item],
        preprocessing: Callable[[dict[Hashable, Any]], Item],
        keys: Sequence[str],
        arrange: Callable[[np.ndarray], np.ndarray],
        layout: str,
        cache_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        self.data = data
        self.keys = tuple(keys)
        self.preprocessing = preprocessing
        self.arrange = arrange
        self.folder = Path(cache_dir) if cache_dir else self._temporary()
        self._maps: dict[tuple[Path, str], np.ndarray] = {}
        recipe = f"{_FORMAT}|{__version__}|{monai.__version__}|{layout}|{describe_transforms(preprocessing)}"
        self.files = [self._names(item, recipe) for item in data]
        self._write_missing()

    def __getstate__(self) -> dict[str, Any]:
        """Leave the open memory maps behind: a worker opens its own."""
        return {**self.__dict__, "_maps": {}}

    def open(self, file: Path, mode: Literal["r", "c"] = "r") -> np.ndarray:
        """Return a cached array, memory-mapped: read-only, or with mode "c" writable, where writing stays private."""
        if (file, mode) not in self._maps:
            # as a plain array over the mapped bytes: slicing a np.memmap costs ten times as much
            try:
                self._maps[file, mode] = np.asarray(np.load(file, mmap_mode=mode))
            except (OSError, ValueError) as error:
                raise ValueError(
                    f"{file}: this preprocessed volume was removed or changed during the run ({error}); start again, "
                    "with --resume true if this is a training run"
                ) from error
        return self._maps[file, mode]

    def source(self, index: int) -> Any:
        """Return the first file of an item, to name it in an error."""
        return next(self.data[index][key] for key in self.files[index])

    def _temporary(self) -> Path:
        folder = tempfile.mkdtemp(prefix="fewlabel_volumes_")
        weakref.finalize(self, _remove, folder, os.getpid())
        return Path(folder)

    def _names(self, item: Item, recipe: str) -> dict[str, Path]:
        """Return where each volume of an item is cached."""
        sources = _sources(item, self.keys)
        name = hashlib.sha256(recipe.encode())
        for key, paths in sources.items():
            for path in paths:
                require_content(path)
                if not path.exists():
                    raise FileNotFoundError(f"{path}: no such file; it is listed as the {key} of a training item")
                stat = path.stat()
                name.update(f"|{key}|{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}".encode())
        return {key: self.folder / f"{name.hexdigest()[:24]}_{key}.npy" for key in sources}

    def _write_missing(self) -> None:
        usable = self._usable()
        missing = [v for v, files in enumerate(self.files) if not usable.issuperset(files.values())]
        if missing:
            _log.info("preprocessing %d of %d volumes into %s", len(missing), len(self.data), self.folder)
        # disable=None shows the bar on terminals only
        for volume in tqdm(missing, desc="preprocessing", unit="volume", leave=False, disable=None):
            files = self.files[volume]
            if not usable.issuperset(files.values()):  # an item may be listed twice
                self._write(self.data[volume], files)
                usable.update(files.values())

    def _usable(self) -> set[Path]:
        """Return the files that are there and whole, and warn of each that is not whole any more."""
        items = zip(self.data, self.files, strict=True)
        sources = {file: item[key] for item, files in items for key, file in files.items()}
        there = [file for file in sources if file.is_file()]
        with ThreadPool(_READERS) as pool:  # checksums are computed beside Python
            checked = tqdm(pool.imap(is_whole, there), "checking the cache", len(there), leave=False, disable=None)
            whole = dict(zip(there, checked, strict=True))
        for file in there:
            if not whole[file]:
                _log.warning("%s: damaged or changed since it was written; preprocessing %s again", file, sources[file])
        return {file for file in there if whole[file]}

    def _write(self, item: Item, files: Mapping[str, Path]) -> None:
        sources = _sources(item, self.keys)
        paths = [path for several in sources.values() for path in several]
        try:
            volumes = self.preprocessing({key: item[key] for key in sources})
            arrays = {key: self.arrange(_volume(volumes[key])) for key in files}
        except Exception as error:
            _refuse_unreadable(paths)
            reason = str(user_facing_cause(error))
            named = any(str(path) in reason for path in paths)
            raise ValueError(reason if named else f"{paths[0]}: this case can't be preprocessed: {reason}") from error
        shapes = {key: _volume(volumes[key]).shape[1:] for key in files}
        if len(set(shapes.values())) > 1:
            raise ValueError(
                f"{paths[0]}: the volumes of this case differ in shape (H, W, D): {shapes}; "
                "resample the label onto the image's grid"
            )
        for key, array in arrays.items():
            write_array(files[key], array)


def _sources(item: Item, keys: Sequence[str]) -> dict[str, list[Path]]:
    """Return the files of an item by key; MONAI reads a list of files as channels."""
    found = {key: item[key] if isinstance(item[key], (list, tuple)) else [item[key]] for key in keys if key in item}
    paths = [path for several in found.values() for path in several]
    if not paths or not all(isinstance(path, (str, os.PathLike)) and str(path) for path in paths):
        raise ValueError(
            f"expected an item with a file's path under {' or '.join(repr(key) for key in keys)}, got {dict(item)}; "
            "leave out the key of a file that there is not"
        )
    return {key: [Path(path) for path in several] for key, several in found.items()}


def _volume(volume: torch.Tensor) -> np.ndarray:
    array = np.asarray(volume)
    if array.ndim != 4 or 0 in array.shape:
        raise ValueError(
            f"expected a volume (C, H, W, D), preprocessing made an array of shape {array.shape}; "
            "give a 2D image a third axis of length 1, and split time points into files of their own"
        )
    return array


def _refuse_unreadable(paths: Iterable[Path]) -> None:
    """Raise the error that names a damaged file and the fix, if there is one among these."""
    for path in paths:
        if path.is_file() and split_ending(path.name) is not None:
            with named_errors(path):
                array_of(path, open_image(path))


def _remove(folder: str, owner: int) -> None:
    if os.getpid() == owner:  # a forked worker inherits the finalizer, but not the folder
        shutil.rmtree(folder, ignore_errors=True)
