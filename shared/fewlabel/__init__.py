"""Semi-supervised segmentation of medical images when only a few scans are labeled, as MONAI bundles."""

from fewlabel.version import __version__

__all__ = ["__version__"]
