from __future__ import annotations

import json
from pathlib import Path
from typing import Any

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
        (b"{", r"model\.json is not valid JSON: .* must hold settings by name; copy the note"),
        (b"\xff\xfe", r"model\.json is not valid JSON"),
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


def test_weights_of_an_earlier_version_are_run_with_the_intensities_and_slices_of_then(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text('{"size": 96, "norm": "batch"}')
    found = training_settings(tmp_path / "model.pt", **PAPER, intensity={"mode": "minmax"}, slice_axis="auto")
    assert found == {"size": 96, "norm": "batch", "intensity": {"mode": "minmax"}, "slice_axis": "auto"}


def test_weights_of_before_there_was_a_norm_of_the_coarsest_level_have_the_others_there(tmp_path: Path) -> None:
    paper = {**PAPER, "coarse_norm": "batch"}
    (tmp_path / "model.json").write_text('{"size": 96, "norm": "instance"}')
    assert training_settings(tmp_path / "model.pt", **paper)["coarse_norm"] == "instance"
    (tmp_path / "model.json").write_text('{"size": 96, "norm": "instance", "coarse_norm": "batch"}')
    assert training_settings(tmp_path / "model.pt", **paper)["coarse_norm"] == "batch"


def test_weights_trained_with_a_window_and_sagittal_slices_are_run_with_them(tmp_path: Path) -> None:
    window = {"mode": "window", "low": -160, "high": 240}
    (tmp_path / "model.json").write_text(json.dumps({**PAPER, "intensity": window, "slice_axis": 0}))
    found = training_settings(tmp_path / "model.pt", **PAPER, intensity={"mode": "minmax"}, slice_axis="auto")
    assert (found["intensity"], found["slice_axis"]) == (window, 0)


@pytest.mark.parametrize(
    ("added", "message"),
    [
        ({"intensity": {"mode": "window"}}, r'model\.json: intensity "window" needs low and high, .*; copy the note'),
        ({"slice_axis": 3}, r'model\.json: slice_axis must be "auto"'),
    ],
)
def test_a_note_with_intensities_or_slices_that_do_not_exist_is_an_error(
    added: dict[str, Any], message: str, tmp_path: Path
) -> None:
    (tmp_path / "model.json").write_text(json.dumps({**PAPER, **added}))
    with pytest.raises(ValueError, match=message):
        training_settings(tmp_path / "model.pt", **PAPER, intensity={"mode": "minmax"}, slice_axis="auto")
