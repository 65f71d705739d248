"""From the words behind `fewlabel compare` to a comparison."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fewlabel.comparison.compare import compare
from fewlabel.comparison.runs.scheduler import stages_of

# not part of what was compared
_OF_THE_MACHINE = ("only", "report_only", "scheduler", "address", "minutes")


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
    kept = {key: value for key, value in settings.items() if value not in (None, False) and key not in _OF_THE_MACHINE}
    typed = {**given, **options, **kept}
    words = [word for key, value in typed.items() if value is not None for word in (f"--{key}", str(value))]
    command = shlex.join(["fewlabel", "compare", *([] if file is None else [file]), "--out", out, *words])
    is_new = file is not None or bool(asked)
    done = compare(out, file if file is not None else asked or None, command=command if is_new else "", **settings)
    if settings.get("only") is not None and not _is_finished(done, settings.get("split")):
        raise SystemExit(1)  # what a cluster calls a failed task
    return done


def _is_finished(folder: Path, split: str | None) -> bool:
    files = [folder / f"{stage}.json" for stage in stages_of(split or "validation")]
    return all(file.is_file() and json.loads(file.read_text())["status"] == "finished" for file in files)
