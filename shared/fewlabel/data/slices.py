"""Serve the 2D slices of 3D volumes at the cost of a slice, never of a volume."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import monai
import numpy as np
import torch
from monai.transforms import Randomizable
from torch.utils.data import Dataset
from tqdm import tqdm

from fewlabel.atomic import appearing
from fewlabel.data.formats import array_of, named_errors, open_image, split_ending
from fewlabel.data.recipe import describe
from fewlabel.version import __version__

_log = logging.getLogger(__name__)
_FORMAT = "2"  # part of every cache name: raise it when the layout of a cached file changes


class SliceDataset(Dataset[dict[str, Any]]):
    """All slices of a list of volumes, each read from a memory-mapped copy of its preprocessed volume.

    A volume is preprocessed once (read, scaled) and written slice by slice to ``cache_dir``; from then on a
    slice costs its own bytes, whatever the number of volumes, workers or ranks, and the operating system's page
    cache is the only memory used. A cached volume is known by its files' paths, sizes and times of change, by
    ``preprocessing`` and by the versions of MONAI and fewlabel, so that changed data or settings never meet an old
    copy. Any number of runs may share a ``cache_dir``; deleting it costs nothing but time.

    Item ``i`` is ``{"image": (C, H, W), "label": (1, H, W) if the item has one, "case": str, "volume": str,
    "slice": int}``. Indexing with a pair ``(i, seed)`` seeds the random part of ``transform`` first, so that
    the result depends on neither the worker nor the order in which items are asked for.

    Args:
        data: MONAI items, ``{"image": path, "label": path or absent, ...}``. May be empty.
        preprocessing: deterministic transforms from the paths under ``keys`` to tensors ``(C, H, W, D)`` there. It
            sees nothing else of an item, so that a cached volume depends on nothing else.
        transform: random transforms of one slice's dictionary.
        keys: keys that hold volumes. A key that an item lacks is left out: no label, no look at one.
        slice_axis: spatial axis along which slices are cut (0, 1 or 2; negative counts from the end).
        cache_dir: where the preprocessed volumes are kept; a temporary folder by default.

    Raises:
        FileNotFoundError: a listed file does not exist.
        ValueError: when a volume can't be preprocessed (the message names its file), is no volume, or image and
            label differ in shape; when a slice is asked for and ``transform`` fails on it.

    """

    def __init__(
        self,
        data: Sequence[Mapping[Hashable, Any]],
        preprocessing: Callable[[dict[Hashable, Any]], Mapping[Hashable, Any]],
        transform: Callable[[dict[Hashable, Any]], Mapping[Hashable, Any]] | None = None,
        keys: Sequence[str] = ("image", "label"),
        slice_axis: int = -1,
        cache_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        if not -3 <= slice_axis <= 2:
            raise ValueError(f"slice_axis must be 0, 1 or 2, or negative to count from the end, got {slice_axis}")
        self.data = [dict(item) for item in data]
        self.preprocessing = preprocessing
        self.transform = transform
        self.keys = tuple(keys)
        self.slice_axis = slice_axis
        self.cache_dir = Path(cache_dir) if cache_dir else self._temporary()
        self._maps: dict[Path, np.ndarray] = {}
        recipe = f"{_FORMAT}|{__version__}|{monai.__version__}|{slice_axis}|{describe(preprocessing)}"
        self._files = [self._names(item, recipe) for item in self.data]
        self._write_missing()
        self.index = [(v, s) for v, files in enumerate(self._files) for s in range(self._length(files))]

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, index: int | tuple[int, int]) -> dict[str, Any]:
        seed = None
        if isinstance(index, tuple):
            index, seed = index
        volume, position = self.index[index]
        item = {k: v for k, v in self.data[volume].items() if k not in self.keys}
        for key, file in self._files[volume].items():
            # copied: the map is read-only and the transforms may write
            item[key] = torch.from_numpy(self._map(file)[position].copy())
        item["slice"] = position
        if self.transform is None:
            return {str(k): v for k, v in item.items()}
        if seed is not None and isinstance(self.transform, Randomizable):
            self.transform.set_random_state(seed=seed)
        try:
            return {str(k): v for k, v in self.transform(item).items()}
        except Exception as error:
            source = next(self.data[volume][key] for key in self._files[volume])
            raise ValueError(f"{source}: the transform of slice {position} failed: {_root(error)}") from error

    def __getstate__(self) -> dict[str, Any]:
        """Leave the open memory maps behind: a worker opens its own."""
        return {**self.__dict__, "_maps": {}}

    def _temporary(self) -> Path:
        folder = tempfile.mkdtemp(prefix="fewlabel_slices_")
        weakref.finalize(self, _remove, folder, os.getpid())
        return Path(folder)

    def _length(self, files: Mapping[str, Path]) -> int:
        return len(self._map(next(iter(files.values()))))

    def _map(self, file: Path) -> np.ndarray:
        if file not in self._maps:
            # as a plain array over the mapped bytes: slicing a np.memmap costs ten times as much
            self._maps[file] = np.asarray(np.load(file, mmap_mode="r"))
        return self._maps[file]

    def _names(self, item: Mapping[Hashable, Any], recipe: str) -> dict[str, Path]:
        """Return where each volume of an item is cached."""
        sources = _sources(item, self.keys)
        name = hashlib.sha256(recipe.encode())
        for key, paths in sources.items():
            for path in paths:
                if not path.exists():
                    raise FileNotFoundError(f"{path}: no such file; it is listed as the {key} of a training item")
                stat = path.stat()
                name.update(f"|{key}|{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}".encode())
        return {key: self.cache_dir / f"{name.hexdigest()[:24]}_{key}.npy" for key in sources}

    def _write_missing(self) -> None:
        missing = [v for v, files in enumerate(self._files) if not all(file.exists() for file in files.values())]
        if missing:
            _log.info("preprocessing %d of %d volumes into %s", len(missing), len(self.data), self.cache_dir)
        # disable=None shows the bar on terminals only
        for volume in tqdm(missing, desc="preprocessing", unit="volume", leave=False, disable=None):
            if not all(file.exists() for file in self._files[volume].values()):  # an item may be listed twice
                self._write(self.data[volume], self._files[volume])

    def _write(self, item: Mapping[Hashable, Any], files: Mapping[str, Path]) -> None:
        sources = _sources(item, self.keys)
        paths = [path for several in sources.values() for path in several]
        try:
            volumes = self.preprocessing({key: item[key] for key in sources})
            arrays = {key: _slices_first(volumes[key], self.slice_axis) for key in files}
        except Exception as error:
            _refuse_unreadable(paths)
            reason = str(_root(error))
            named = any(str(path) in reason for path in paths)
            raise ValueError(reason if named else f"{paths[0]}: this case can't be preprocessed: {reason}") from error
        shapes = {key: (array.shape[0], *array.shape[2:]) for key, array in arrays.items()}
        if len(set(shapes.values())) > 1:
            raise ValueError(
                f"{paths[0]}: the volumes of this case differ in shape (slices, rows, columns): {shapes}; "
                "resample the label onto the image's grid"
            )
        for key, array in arrays.items():
            with appearing(files[key]) as stream:
                np.save(stream, array)


def _sources(item: Mapping[Hashable, Any], keys: Sequence[str]) -> dict[str, list[Path]]:
    """Return the files of an item by key; MONAI reads a list of files as channels."""
    found = {key: item[key] if isinstance(item[key], (list, tuple)) else [item[key]] for key in keys if key in item}
    paths = [path for several in found.values() for path in several]
    if not paths or not all(isinstance(path, (str, os.PathLike)) and str(path) for path in paths):
        raise ValueError(
            f"expected an item with a file's path under {' or '.join(repr(key) for key in keys)}, got {dict(item)}; "
            "leave out the key of a file that there is not"
        )
    return {key: [Path(path) for path in several] for key, several in found.items()}


def _slices_first(volume: torch.Tensor, slice_axis: int) -> np.ndarray:
    """(C, H, W, D) -> (D, C, H, W), contiguous, so that a slice is one run of bytes."""
    array = np.asarray(volume)
    if array.ndim != 4 or 0 in array.shape:
        raise ValueError(
            f"expected a volume (C, H, W, D), preprocessing made an array of shape {array.shape}; "
            "give a 2D image a third axis of length 1, and split time points into files of their own"
        )
    axis = slice_axis + 1 if slice_axis >= 0 else slice_axis
    return np.ascontiguousarray(np.moveaxis(array, axis, 0))


def _refuse_unreadable(paths: Iterable[Path]) -> None:
    """Raise the error that names a damaged file and the cure, if there is one among these."""
    for path in paths:
        if path.is_file() and split_ending(path.name) is not None:
            with named_errors(path):
                array_of(path, open_image(path))


def _remove(folder: str, owner: int) -> None:
    if os.getpid() == owner:  # a forked worker inherits the finalizer, but not the folder
        shutil.rmtree(folder, ignore_errors=True)


def _root(error: BaseException) -> BaseException:
    """The first cause of a chain: MONAI wraps the error that says what is wrong in ones that say where."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error
