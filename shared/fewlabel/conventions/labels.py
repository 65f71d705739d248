"""Under which keys items have labels, and the value that these carry, once loaded, where nobody annotated."""

from __future__ import annotations

IGNORED = -1
"""Voxels that no loss and no score counts: nnU-Net's "ignore" label, whatever its value is in the files."""

REGISTERED_LABEL = "registered_label"
"""Key of the labels that registration brought to an unlabeled scan from labeled ones."""

LABEL_KEYS = ("label", REGISTERED_LABEL)
"""Keys of label maps, which are interpolated by the nearest neighbor."""
