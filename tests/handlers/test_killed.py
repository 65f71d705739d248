from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import killed_training
import torch
from small_training import differences

from fewlabel.handlers import read_history

PACKAGE = Path(__file__).parents[2] / "shared"


def test_a_training_killed_again_and_again_ends_as_if_nothing_had_happened(tmp_path: Path) -> None:
    paths = os.pathsep.join([str(PACKAGE), *filter(None, [os.environ.get("PYTHONPATH")])])
    program = [sys.executable, killed_training.__file__, str(tmp_path), "6"]
    done = subprocess.run(program, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("training_state.pt", "model.pt", "model_last.pt"):
        states = [torch.load(tmp_path / run / name, weights_only=True) for run in ("killed", "whole")]
        assert differences(*states) == [], name
    for line in zip(*(read_history(tmp_path / run / "history.jsonl") for run in ("killed", "whole")), strict=True):
        assert differences(*({**record, "seconds": 0} for record in line)) == []
