from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch

from fewlabel.handlers import read_history
from helpers.paths import environment
from helpers.small_training import differences


def test_a_training_killed_again_and_again_ends_as_if_nothing_had_happened(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "helpers.killed_training", str(tmp_path), "6"]
    done = subprocess.run(program, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("training_state.pt", "model.pt", "model_last.pt"):
        states = [torch.load(tmp_path / run / name, weights_only=True) for run in ("killed", "whole")]
        assert differences(*states) == [], name
    for line in zip(*(read_history(tmp_path / run / "history.jsonl") for run in ("killed", "whole")), strict=True):
        assert differences(*({**record, "seconds": 0} for record in line)) == []
