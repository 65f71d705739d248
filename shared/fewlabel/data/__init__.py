"""Datasets: find and check their files, split them, read them, and make public and artificial ones."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fewlabel.data.cohort import Cohort
    from fewlabel.data.files.volumes import read_volume
    from fewlabel.data.streams.patch_dataset import PatchDataset
    from fewlabel.data.streams.slice_dataset import SliceDataset
    from fewlabel.data.streams.two_streams import TwoStreamLoader

__all__ = ["Cohort", "PatchDataset", "SliceDataset", "TwoStreamLoader", "read_volume"]

_HOMES = {
    "Cohort": "cohort",
    "PatchDataset": "streams.patch_dataset",
    "SliceDataset": "streams.slice_dataset",
    "TwoStreamLoader": "streams.two_streams",
    "read_volume": "files.volumes",
}


def __getattr__(name: str) -> Any:
    """Import a name at its first use: checking and preparing data start without torch."""
    if name in _HOMES:
        return getattr(importlib.import_module(f"fewlabel.data.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
