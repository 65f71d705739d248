"""Serve the 2D slices of 3D volumes at the cost of a slice, never of a volume."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Randomizable
from torch.utils.data import Dataset

from fewlabel.atomic import appearing

_log = logging.getLogger(__name__)
_FORMAT = "1"  # part of every cache name: raise it when the layout of a cached file changes


class SliceDataset(Dataset[dict[str, Any]]):
    """All slices of a list of volumes, each read from a memory-mapped copy of its preprocessed volume.

    A volume is preprocessed once (read, scaled) and written slice by slice to ``cache_dir``; from then on a
    slice costs its own bytes, whatever the number of volumes, workers or ranks, and the operating system's page
    cache is the only memory used. A cached volume is known by its files' paths, sizes and times of change and
    by ``preprocessing``, so that changed data or settings never meet an old copy.

    Item ``i`` is ``{"image": (C, H, W), "label": (1, H, W) if the item has one, "case": str, "volume": str,
    "slice": int}``. Indexing with a pair ``(i, seed)`` seeds the random part of ``transform`` first, so that
    the result depends on neither the worker nor the order in which items are asked for.

    Args:
        data: MONAI items, ``{"image": path, "label": path or absent, ...}``. May be empty.
        preprocessing: deterministic transforms from an item to tensors ``(C, H, W, D)`` under the same keys.
        transform: random transforms of one slice's dictionary.
        keys: keys that hold volumes. A key that an item lacks is left out: no label, no look at one.
        slice_axis: spatial axis along which slices are cut, counted without the channel axis.
        cache_dir: where the preprocessed volumes are kept; a temporary folder by default.

    Raises:
        ValueError: when a volume can't be preprocessed (the message names its file), or image and label differ
            in shape.

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
        self.data = [dict(item) for item in data]
        self.preprocessing = preprocessing
        self.transform = transform
        self.keys = tuple(keys)
        self.slice_axis = slice_axis
        self._temporary = None if cache_dir else tempfile.TemporaryDirectory(prefix="fewlabel_slices_")
        self.cache_dir = Path(cache_dir) if cache_dir else Path(self._temporary.name)  # type: ignore[union-attr]
        self.cache_dir.mkdir(parents=True, exist_ok=True)
        self._maps: dict[Path, np.ndarray] = {}
        self._recipe = _recipe(preprocessing, slice_axis)
        self._files = [self._prepare(item) for item in self.data]
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
            item[key] = MetaTensor(torch.from_numpy(np.array(self._map(file)[position])))
        item["slice"] = position
        if self.transform is None:
            return {str(k): v for k, v in item.items()}
        if seed is not None and isinstance(self.transform, Randomizable):
            self.transform.set_random_state(seed=seed)
        return {str(k): v for k, v in self.transform(item).items()}

    def __getstate__(self) -> dict[str, Any]:
        """Leave the open memory maps behind: a worker opens its own."""
        return {**self.__dict__, "_maps": {}, "_temporary": None}

    def _length(self, files: Mapping[str, Path]) -> int:
        return len(self._map(next(iter(files.values()))))

    def _map(self, file: Path) -> np.ndarray:
        if file not in self._maps:
            self._maps[file] = np.load(file, mmap_mode="r")
        return self._maps[file]

    def _prepare(self, item: dict[Hashable, Any]) -> dict[str, Path]:
        present = [key for key in self.keys if key in item]
        name = hashlib.sha256(self._recipe.encode())
        for key in present:
            source = Path(item[key])
            if not source.exists():
                raise FileNotFoundError(f"{source}: no such file; it is listed as the {key} of a training item")
            stat = source.stat()
            name.update(f"|{key}|{source.resolve()}|{stat.st_size}|{stat.st_mtime_ns}".encode())
        files = {key: self.cache_dir / f"{name.hexdigest()[:24]}_{key}.npy" for key in present}
        if not all(file.exists() for file in files.values()):
            self._write(item, files)
        return files

    def _write(self, item: dict[Hashable, Any], files: Mapping[str, Path]) -> None:
        try:
            volume = self.preprocessing({**item})
        except Exception as error:
            raise ValueError(f"{item['image']}: this case can't be read or preprocessed: {_root(error)}") from error
        arrays = {key: _slices_first(volume[key], self.slice_axis) for key in files}
        shapes = {key: (array.shape[0], *array.shape[2:]) for key, array in arrays.items()}
        if len(set(shapes.values())) > 1:
            raise ValueError(
                f"{item['image']}: image and label differ in shape (slices, rows, columns): {shapes}; "
                "resample the label onto the image's grid"
            )
        for key, array in arrays.items():
            with appearing(files[key]) as stream:
                np.save(stream, array)
        _log.debug("cached %s", item["image"])


def _slices_first(volume: torch.Tensor, slice_axis: int) -> np.ndarray:
    """(C, H, W, D) -> (D, C, H, W), contiguous, so that a slice is one run of bytes."""
    axis = slice_axis + 1 if slice_axis >= 0 else slice_axis
    return np.ascontiguousarray(np.moveaxis(np.asarray(volume), axis, 0))


def _recipe(preprocessing: Callable[..., Any], slice_axis: int) -> str:
    """What a cached volume depends on besides its files, as text that two runs agree on."""

    def describe(value: Any) -> str:
        if isinstance(value, (str, int, float, bool, type(None), torch.dtype, type)):
            return repr(value)
        if isinstance(value, Mapping):
            return "{" + ",".join(f"{k}:{describe(v)}" for k, v in sorted(value.items(), key=lambda x: str(x[0]))) + "}"
        if isinstance(value, (list, tuple, set, frozenset)):
            return "[" + ",".join(describe(v) for v in value) + "]"
        if isinstance(value, np.ndarray):
            return repr(value.tolist())
        name = getattr(value, "__qualname__", type(value).__qualname__)
        state = {k: v for k, v in getattr(value, "__dict__", {}).items() if k not in ("R", "_lazy")}
        return f"{name}{describe(state)}"

    return f"{_FORMAT}|{slice_axis}|{describe(preprocessing)}"


def _root(error: BaseException) -> BaseException:
    """The first cause of a chain: MONAI wraps the error that says what is wrong in ones that say where."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error
