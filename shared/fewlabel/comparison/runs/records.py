"""The folder of a run, and what is noted there."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fewlabel.atomic import atomic_write
from fewlabel.comparison.runs.run import Run

Stage = Literal["train", "test"]
RUNS = "runs"


@dataclass(frozen=True)
class RunFolder:
    """Where a run's files lie, below ``runs/`` of the comparison's folder.

    Args:
        out: the comparison's folder.
        key: the run's, see :attr:`Run.key`.
    """

    out: Path
    key: str

    @property
    def path(self) -> Path:
        """The folder."""
        return self.out / RUNS / self.key

    @property
    def log(self) -> Path:
        """What the run's processes print."""
        return self.path / "log.txt"

    @property
    def config(self) -> Path:
        """The config with all overlays and options in place."""
        return self.path / "config.json"

    @property
    def state(self) -> Path:
        """The state from which a training run is resumed."""
        return self.path / "models" / "training_state.pt"

    @property
    def history(self) -> Path:
        """The diary of the training run."""
        return self.path / "eval" / "history.jsonl"

    def scores(self, split: str) -> Path:
        """The scores of a split; training ends with those of validation."""
        return self.path / ("test" if split == "test" else "eval") / "scores.csv"

    def write(self, name: str, content: Any) -> None:
        """Write a JSON file, whole or not at all."""
        atomic_write(self.path / f"{name}.json", (json.dumps(content, indent=2) + "\n").encode())

    def read(self, name: str) -> Any:
        """Return the content of a JSON file, None where there is none.

        Raises:
            ValueError: the file is no JSON.
        """
        file = self.path / f"{name}.json"
        if not file.is_file():
            return None
        try:
            return json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{file}: no JSON ({error}); remove it, and what it notes is done again") from error

    def remove(self, name: str) -> None:
        """Remove a JSON file if it is there."""
        (self.path / f"{name}.json").unlink(missing_ok=True)

    def is_finished(self, stage: Stage) -> bool:
        """Return whether a stage was finished."""
        result = self.read(stage)
        return result is not None and result["status"] == "finished"


def require_same_request(folder: RunFolder, run: Run) -> None:
    """Refuse a run that was begun in this folder with other settings.

    Raises:
        ValueError: there is one; the message names the first difference.
    """
    begun = folder.read("request")
    if begun is None or begun == run.as_dict():
        return
    wanted = run.as_dict()
    key = next(key for key in wanted if begun.get(key) != wanted[key])
    raise ValueError(
        f"{folder.path} was begun with {key} {begun.get(key)!r}, not {wanted[key]!r}: choose another folder with "
        "--out, give the row another name, or remove that folder to run it again"
    )


def begin_attempt(folder: RunFolder, stage: Stage) -> None:
    """Note that a stage begins; of an attempt that was killed, what its last saved epoch took counts."""
    attempts = folder.read(f"{stage}_attempts") or []
    if attempts and attempts[-1]["ended"] is None:
        started = attempts[-1]["started"]
        saved = folder.history.stat().st_mtime if folder.history.is_file() else started
        attempts[-1]["ended"] = max(started, saved)
    folder.write(f"{stage}_attempts", [*attempts, {"started": time.time(), "ended": None}])


def end_attempt(folder: RunFolder, stage: Stage) -> tuple[float, int]:
    """Note that a stage has ended; return the minutes of all attempts together and how many there were."""
    attempts = folder.read(f"{stage}_attempts")
    attempts[-1]["ended"] = time.time()
    folder.write(f"{stage}_attempts", attempts)
    return sum(each["ended"] - each["started"] for each in attempts) / 60, len(attempts)
