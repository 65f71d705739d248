"""Runs of a comparison that cost nothing: a short program notes that it was called and writes scores."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fewlabel.comparison.runs.records import RunFolder
from fewlabel.comparison.runs.run import Run

COLUMNS = "checkpoint,case,volume,class,protocol,dice,jaccard,hd95,asd"
# notes the call, may leave a state and wait to be killed, may fail, else scores two patients
_PROGRAM = """
import os, sys, time
journal, key, folder, scores, behavior, dice = sys.argv[1:7]
with open(journal, "a") as file:
    file.write(" ".join([key, *sys.argv[7:]]) + "\\n")
if behavior == "hangs" and "resume" not in sys.argv:
    os.makedirs(folder + "/models", exist_ok=True)
    open(folder + "/models/training_state.pt", "w").close()
    with open(journal, "a") as file:
        file.write(key + " hangs\\n")
    time.sleep(600)
if behavior == "fails":
    print("epoch 1")
    sys.exit("supervised is nan at step 7")
os.makedirs(os.path.dirname(scores), exist_ok=True)
rows = [
    f"{checkpoint},{case},{case}_a,heart,{protocol},{float(dice) + 0.1 * number},0.5,2.0,1.0"
    for checkpoint in ("best", "last") for number, case in enumerate(("p1", "p2"))
    for protocol in ("strict", "published")
]
with open(scores, "w") as file:
    file.write("COLUMNS\\n" + "\\n".join(rows) + "\\n")
""".replace("COLUMNS", COLUMNS)


@dataclass
class FakeCommands:
    """What a scheduler asks for, of programs that take some milliseconds.

    Args:
        journal: file with a line for each call of a program.
        behavior: "hangs" or "fails" by key of a run.
        dice: of the first patient by method.
        settings: stands for what the configs say.
    """

    journal: Path
    behavior: Mapping[str, str] = field(default_factory=dict)
    dice: Mapping[str, float] = field(default_factory=dict)
    settings: Any = "as ever"

    def train(self, run: Run, folder: RunFolder, resume: bool) -> list[str]:
        return self._words(run, folder, "validation", *(["resume"] if resume else []))

    def test(self, run: Run, folder: RunFolder) -> list[str]:
        return self._words(run, folder, "test", "test")

    def config(self, run: Run, folder: RunFolder) -> dict[str, Any]:
        if run.bundle == "broken":
            raise ValueError("--sede is no setting; the nearest is --seed")
        return {"settings": self.settings, **run.as_dict()}

    def labeled(self, run: Run) -> list[str]:
        return [f"patient{number}" for number in range(run.labeled_cases or 5)]

    def calls(self) -> list[str]:
        return self.journal.read_text().splitlines() if self.journal.exists() else []

    def _words(self, run: Run, folder: RunFolder, split: str, *more: str) -> list[str]:
        dice = self.dice.get(run.method, 0.5) + 0.01 * run.seed
        behavior = self.behavior.get(run.key, "works")
        places = [str(self.journal), run.key, str(folder.path), str(folder.scores(split))]
        return [sys.executable, "-S", "-c", _PROGRAM, *places, behavior, str(dice), *more]


def fake_run(method: str = "supervised", seed: int = 0, labeled_cases: int | None = 3, **more: Any) -> Run:
    return Run("mine", "/data/mine", method, method, labeled_cases=labeled_cases, seed=seed, **more)
