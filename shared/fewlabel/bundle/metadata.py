"""What a bundle's ``metadata.json`` promises of its network."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from fewlabel.data.layout.dataset_json import read_object


def promised_classes(bundle_root: str | os.PathLike[str]) -> int:
    """Return how many classes a bundle's network tells apart, the background included.

    Raises:
        ValueError: the metadata do not say it.
    """
    file = Path(bundle_root) / "configs" / "metadata.json"
    found: Any = read_object(file) if file.is_file() else {}
    for key in ("network_data_format", "outputs", "pred", "num_channels"):
        found = found.get(key) if isinstance(found, dict) else None
    if not isinstance(found, int) or found < 2:
        raise ValueError(
            f"{file}: network_data_format, outputs, pred has no num_channels of 2 or more, the number of classes with "
            "the background: correct it, or set --num_classes"
        )
    return found
