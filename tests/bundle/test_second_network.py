from __future__ import annotations

from pathlib import Path

import pytest

from fewlabel.bundle import load_second_network, parse_bool, second_checkpoint
from fewlabel.networks import UNet


def test_the_second_student_is_looked_for_beside_the_first() -> None:
    assert [second_checkpoint(f"m/{name}.pt") for name in ("model", "model_last", "mine")] == [
        "m/model_second.pt", "m/model_second_last.pt", "m/mine_second.pt",
    ]  # fmt: skip


def test_without_weights_of_a_second_student_the_error_says_what_to_do(tmp_path: Path) -> None:
    assert load_second_network(None, None, "cpu") is None
    with pytest.raises(
        FileNotFoundError, match=r"model_second\.pt: no weights of the second student.*--second_checkpoint"
    ):
        load_second_network(UNet(), tmp_path / "model_second.pt", "cpu")
    with pytest.raises(ValueError, match="expected true or false, got 'maybe'"):
        parse_bool("maybe")
