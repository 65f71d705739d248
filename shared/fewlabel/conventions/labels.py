"""The value that labels carry, once loaded, where nobody annotated."""

from __future__ import annotations

IGNORED = -1
"""Voxels that no loss and no score counts: nnU-Net's "ignore" label, whatever its value is in the files."""
