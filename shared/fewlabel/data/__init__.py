"""Datasets: find and check their files, split them, read them, and make public and artificial ones."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from fewlabel.data.cohort import Cohort
from fewlabel.data.files.volumes import read_volume

if TYPE_CHECKING:
    from fewlabel.data.streams.patch_dataset import PatchDataset
    from fewlabel.data.streams.slice_dataset import SliceDataset
    from fewlabel.data.streams.two_streams import TwoStreamLoader

__all__ = ["Cohort", "PatchDataset", "SliceDataset", "TwoStreamLoader", "read_volume"]

# these need PyTorch and MONAI, whose import takes seconds that reading and checking files can do without
_STREAMS = {
    "PatchDataset": "patch_dataset",
    "SliceDataset": "slice_dataset",
    "TwoStreamLoader": "two_streams",
}


def __getattr__(name: str) -> Any:
    """Import a dataset or loader for training at its first use."""
    if name in _STREAMS:
        return getattr(importlib.import_module(f"fewlabel.data.streams.{_STREAMS[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
