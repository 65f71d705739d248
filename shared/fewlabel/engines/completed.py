"""Remember which cases are finished, so that a second run does only what is left."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fewlabel.atomic import atomic_write
from fewlabel.data.files.checksums import file_checksum
from fewlabel.json_files import read_json

_log = logging.getLogger(__name__)


class CompletedCases:
    """Notes beside the results, one file for each case, so that runs which share a folder don't disturb each other.

    Args:
        folder: where the results are; the notes go into ``.finished`` below it.

    A case is finished if its results are there and its note has the same marks: of the scan's files, the weights, the
    settings and this package's version. A result without a note, or with one that can't be read, is not.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def is_finished(self, name: str, marks: Mapping[str, str]) -> bool:
        """Return whether a case is finished; if it was, but not with these marks, say what has changed.

        Raises:
            ValueError: somebody has changed a result since, and it would be replaced by a new one.
        """
        note = self._read(name)
        if note is None or not all((self.folder / file).is_file() for file in note["files"]):
            return False
        changed = [mark for mark, value in marks.items() if note["marks"].get(mark) != value]
        if not changed:
            return True
        for file, checksum in note["files"].items():
            if file_checksum(self.folder / file) != checksum:
                raise ValueError(
                    f"{self.folder / file}: made with another {' and '.join(changed)}, and changed by hand since; move "
                    "it away to have the case segmented again"
                )
        _log.info("%s: the %s changed since the last run; segmenting it again", name, " and the ".join(changed))
        return False

    def begin(self, name: str) -> None:
        """Forget a case: while its files are replaced, no note may vouch for them."""
        self._path(name).unlink(missing_ok=True)

    def finish(self, name: str, marks: Mapping[str, str], files: list[str], quality: float | None) -> None:
        """Note that a case is finished, with its files below the folder, and its predicted quality if there is one."""
        note = {
            "name": name,
            "marks": dict(marks),
            "files": {file: file_checksum(self.folder / file) for file in files},
            "quality": None if quality is None or math.isnan(quality) else quality,
        }
        atomic_write(self._path(name), json.dumps(note, indent=2).encode())

    def quality(self, name: str) -> float | None:
        """Return the predicted quality that was noted for a case."""
        note = self._read(name)
        return None if note is None else note["quality"]

    def _path(self, name: str) -> Path:
        return self.folder / ".finished" / f"{name}.json"

    def _read(self, name: str) -> dict[str, Any] | None:
        path = self._path(name)
        if not path.is_file():
            return None
        try:
            note = read_json(path)
            if all(isinstance(note[key], dict) for key in ("marks", "files")) and "quality" in note:
                return dict(note)
        except (ValueError, KeyError, TypeError):
            pass
        _log.warning("%s: damaged; segmenting the case again", path)
        return None
