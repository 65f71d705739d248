"""Faults of folders and disks: killed while saving, full, read-only, shared by two runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from helpers.faults import kill_in_save, plant, run, training
from helpers.small_training import differences

pytestmark = pytest.mark.slow


def test_a_training_killed_while_it_saves_goes_on_and_ends_as_the_one_that_was_not(
    phantom: Path, trained_once: Path, tmp_path: Path
) -> None:
    words = training(phantom, tmp_path)
    run("fewlabel", *words, plant=plant(kill_in_save, "training_state.pt", 2)).was_killed()
    state = tmp_path / "models" / "training_state.pt"
    assert torch.load(state, weights_only=True)["epoch"] == 1
    assert list(state.parent.glob(".*.partial"))
    run("fewlabel", *words, "--resume", "true").ended_well()
    assert not list(tmp_path.rglob(".*.partial"))
    for name in ("training_state.pt", "model.pt", "model_last.pt"):
        states = [torch.load(folder / "models" / name, weights_only=True) for folder in (tmp_path, trained_once)]
        assert differences(*states) == [], name
