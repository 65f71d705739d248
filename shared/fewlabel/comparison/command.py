"""From the words behind `fewlabel compare` to a comparison."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fewlabel.comparison.compare import compare


def compare_as_typed(
    out: str, file: str | None, given: Mapping[str, Any], options: Mapping[str, Any], **settings: Any
) -> Path:
    """Do a comparison that was asked for by options or by a file, and return where its tables are.

    Args:
        out: the comparison's folder.
        file: says what to compare.
        given: the same by options: bundles, labeled_cases, seeds, dataset_dir; None what was left out.
        options: ``with``, and keys of the config.
        settings: of :func:`fewlabel.comparison.compare`.

    Raises:
        ValueError: both a file and options.
    """
    asked = {key: value for key, value in given.items() if value is not None}
    keys = {key: value for key, value in options.items() if key != "with"}
    if overlays := options.get("with"):
        asked["with"] = overlays
    if keys:
        asked["options"] = keys
    if file is not None and asked:
        raise ValueError(
            f"{file} says what to compare, and so does --{next(iter(asked))}: write all of it into the file"
        )
    if "bundles" not in asked and file is None and asked:
        raise ValueError(
            f"--{next(iter(asked))} needs --bundles; without options the comparison in --out is gone on with"
        )
    typed = {**given, **options, **{key: value for key, value in settings.items() if value not in (None, False)}}
    words = [word for key, value in typed.items() if value is not None for word in (f"--{key}", str(value))]
    command = shlex.join(["fewlabel", "compare", *([] if file is None else [file]), "--out", out, *words])
    is_new = file is not None or bool(asked)
    return compare(out, file if file is not None else asked or None, command=command if is_new else "", **settings)
