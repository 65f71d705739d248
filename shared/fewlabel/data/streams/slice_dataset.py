"""Serve the 2D slices of 3D volumes at the cost of a slice, never of a volume."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.transforms import Randomizable
from torch.utils.data import Dataset

from fewlabel.data.streams.volume_cache import VolumeCache
from fewlabel.errors import user_facing_cause


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
        self.transform = transform
        arrange = functools.partial(_slices_first, slice_axis=slice_axis)
        self.cache = VolumeCache(self.data, preprocessing, keys, arrange, f"{slice_axis}", cache_dir)
        self.index = [(v, s) for v, files in enumerate(self.cache.files) for s in range(self._length(files))]

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, index: int | tuple[int, int]) -> dict[str, Any]:
        seed = None
        if isinstance(index, tuple):
            index, seed = index
        volume, position = self.index[index]
        item = {k: v for k, v in self.data[volume].items() if k not in self.cache.keys}
        for key, file in self.cache.files[volume].items():
            # copied: the map is read-only and the transforms may write
            item[key] = torch.from_numpy(self.cache.open(file)[position].copy())
        item["slice"] = position
        if self.transform is None:
            return {str(k): v for k, v in item.items()}
        if seed is not None and isinstance(self.transform, Randomizable):
            self.transform.set_random_state(seed=seed)
        try:
            return {str(k): v for k, v in self.transform(item).items()}
        except Exception as error:
            source = self.cache.source(volume)
            raise ValueError(
                f"{source}: the transform of slice {position} failed: {user_facing_cause(error)}"
            ) from error

    def _length(self, files: Mapping[str, Any]) -> int:
        return len(self.cache.open(next(iter(files.values()))))


def _slices_first(volume: np.ndarray, slice_axis: int) -> np.ndarray:
    """(C, H, W, D) -> (D, C, H, W), contiguous, so that a slice is one run of bytes."""
    axis = slice_axis + 1 if slice_axis >= 0 else slice_axis
    return np.ascontiguousarray(np.moveaxis(volume, axis, 0))
