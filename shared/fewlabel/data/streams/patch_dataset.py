"""Serve random patches of 3D volumes at the cost of a patch, never of a volume."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.transforms import Randomizable
from torch.utils.data import Dataset

from fewlabel.data.streams.volume_cache import VolumeCache
from fewlabel.errors import user_facing_cause


class PatchDataset(Dataset[dict[str, Any]]):
    """A list of volumes, of each of which a random transform cuts a patch whenever it is asked for.

    A volume is preprocessed once (read, standardized, resampled) and written to ``cache_dir``, see
    :class:`fewlabel.data.streams.volume_cache.VolumeCache`. The transform receives it memory-mapped: cut the patch
    first, turn and mirror it afterwards, and nothing but its bytes is read.

    Item ``i`` is what ``transform`` makes of ``{"image": (C, H, W, D), "label": (1, H, W, D) if the item has one,
    "case": str, "volume": str}``. Indexing with a pair ``(i, seed)`` seeds the random part of ``transform`` first, so
    that the result depends on neither the worker nor the order in which items are asked for.

    Args:
        data: MONAI items, ``{"image": path, "label": path or absent, ...}``. May be empty.
        preprocessing: deterministic transforms from the paths under ``keys`` to tensors ``(C, H, W, D)`` there. It
            sees nothing else of an item, so that a cached volume depends on nothing else.
        transform: random transforms of one volume's dictionary; None serves the volumes whole.
        keys: keys that hold volumes. A key that an item lacks is left out: no label, no look at one.
        cache_dir: where the preprocessed volumes are kept; a temporary folder by default.

    Raises:
        FileNotFoundError: a listed file does not exist.
        ValueError: when a volume can't be preprocessed (the message names its file), is no volume, or image and
            label differ in shape; when a patch is asked for and ``transform`` fails on it.

    """

    def __init__(
        self,
        data: Sequence[Mapping[Hashable, Any]],
        preprocessing: Callable[[dict[Hashable, Any]], Mapping[Hashable, Any]],
        transform: Callable[[dict[Hashable, Any]], Mapping[Hashable, Any]] | None = None,
        keys: Sequence[str] = ("image", "label"),
        cache_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        self.data = [dict(item) for item in data]
        self.transform = transform
        self.cache = VolumeCache(self.data, preprocessing, keys, np.ascontiguousarray, "whole", cache_dir)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int | tuple[int, int]) -> dict[str, Any]:
        seed = None
        if isinstance(index, tuple):
            index, seed = index
        item = {k: v for k, v in self.data[index].items() if k not in self.cache.keys}
        for key, file in self.cache.files[index].items():
            # privately writable, since PyTorch knows no read-only tensors
            item[key] = torch.from_numpy(self.cache.open(file, "c"))
        if self.transform is not None:
            if seed is not None and isinstance(self.transform, Randomizable):
                self.transform.set_random_state(seed=seed)
            try:
                item = dict(self.transform(item))
            except Exception as error:
                raise ValueError(
                    f"{self.cache.source(index)}: the transform of a patch failed: {user_facing_cause(error)}"
                ) from error
        # a view holds on to the whole volume, and a worker would send all of it
        return {str(k): v.clone() if isinstance(v, torch.Tensor) else v for k, v in item.items()}
