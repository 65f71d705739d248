from __future__ import annotations

from pathlib import Path

import pytest
import torch
from monai.utils import set_determinism

from helpers.remembering import Remembering
from helpers.small_training import Recorder, StopAfter, differences, training


def build() -> Remembering:
    set_determinism(0)
    return Remembering()


def test_a_resumed_training_has_its_banks_and_their_positions_bit_for_bit(tmp_path: Path) -> None:
    whole, pieces = Recorder(), Recorder()
    training(tmp_path / "whole", method=build(), more_handlers=[whole]).run()
    with pytest.raises(KeyboardInterrupt):
        training(tmp_path / "pieces", method=build(), more_handlers=[StopAfter(8)]).run()
    training(tmp_path / "pieces", method=build(), resume=True, more_handlers=[pieces]).run()

    assert pieces.steps == whole.steps[6:]
    states = [torch.load(tmp_path / run / "training_state.pt", weights_only=True) for run in ("whole", "pieces")]
    assert differences(*states) == []
    # 12 steps of 3 keys into 10 places: once around and over the end
    assert states[0]["method"]["bank.position"].tolist() == [6, 0]
    assert states[0]["method"]["bank.filled"].tolist() == [10, 0]
    assert "banks" not in states[0], "one process has them in its method"
