"""Semi-supervised segmentation of medical images when only a few scans are labeled, as MONAI bundles."""

from __future__ import annotations

import importlib
from types import ModuleType

from fewlabel.version import __version__

__all__ = ["__version__"]

_SUBPACKAGES = (
    "bundle", "conventions", "data", "engines", "handlers", "inferers", "launch", "layers", "losses", "methods",
    "metrics", "mixing", "networks", "planning", "reports", "sampling", "transforms",
)  # fmt: skip


def __getattr__(name: str) -> ModuleType:
    """Import a subpackage at its first use: a bundle's JSON says ``fewlabel.bundle`` after ``import fewlabel``."""
    if name in _SUBPACKAGES:
        return importlib.import_module(f"fewlabel.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
