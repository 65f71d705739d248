"""Semi-supervised segmentation of medical images when only a few scans are labeled, as MONAI bundles."""

from __future__ import annotations

import importlib
from types import ModuleType

from fewlabel.version import __version__

__all__ = ["__version__"]

_ROOMS = (
    "bundle", "data", "engines", "handlers", "inferers", "layers", "losses", "methods", "metrics", "mixing", "networks",
    "reports", "sampling", "transforms",
)  # fmt: skip


def __getattr__(name: str) -> ModuleType:
    """Import a subpackage at its first use: a bundle's JSON says ``fewlabel.bundle`` after ``import fewlabel``."""
    if name in _ROOMS:
        return importlib.import_module(f"fewlabel.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
