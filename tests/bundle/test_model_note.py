from __future__ import annotations

from pathlib import Path

import pytest

from fewlabel.bundle import training_settings

PAPER = {"size": 224, "norm": "batch"}


def test_weights_without_a_note_were_trained_with_the_papers_settings(tmp_path: Path) -> None:
    assert training_settings(tmp_path / "model.pt", **PAPER) == PAPER


def test_weights_with_a_note_are_run_as_they_were_trained(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text('{"size": 96, "norm": "instance"}')
    assert training_settings(tmp_path / "model.pt", **PAPER) == {"size": 96, "norm": "instance"}


def test_a_note_that_names_no_channels_is_of_weights_for_one(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text('{"size": 96, "norm": "instance"}')
    assert training_settings(tmp_path / "model.pt", **PAPER, in_channels=1)["in_channels"] == 1
    (tmp_path / "model.json").write_text('{"size": 96, "norm": "instance", "in_channels": 4}')
    assert training_settings(tmp_path / "model.pt", **PAPER, in_channels=1)["in_channels"] == 4


@pytest.mark.parametrize(
    ("note", "message"),
    [
        (b"{", r"model\.json: not valid JSON .* must hold settings by name; copy the note"),
        (b"\xff\xfe", r"model\.json: not valid JSON"),
        (b"[1]", r"model\.json: expected settings by name, found \[1\]; copy the note"),
        (b'{"size": 96}', r"expected the settings \['norm', 'size'\], found \{'size': 96\}"),
        (b'{"size": 96, "norm": "batch", "depth": 3}', "expected the settings"),
        (b'{"size": "96", "norm": "batch"}', r"size must be like 224, found '96'; copy the note .* or delete it"),
    ],
)
def test_a_note_that_does_not_fit_is_an_error_with_the_cure(note: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_bytes(note)
    with pytest.raises(ValueError, match=message):
        training_settings(tmp_path / "model.pt", **PAPER)
