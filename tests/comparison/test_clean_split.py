from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from fewlabel.comparison.clean_split import find_held_out_doubles
from fewlabel.comparison.compare import compare
from helpers.fake_runs import FakeCommands


@pytest.fixture
def dataset(phantom: Path, tmp_path: Path) -> Path:
    """A phantom whose validation case is a copy of a training case."""
    root = Path(shutil.copytree(phantom, tmp_path / "cardiac"))
    splits = json.loads((root / "splits.json").read_text())
    for half in ("images", "labels"):
        (source,), (target,) = (root.glob(f"{half}T?/{splits[s][0]}*") for s in ("labeled", "validation"))
        target.write_bytes(source.read_bytes())
    return root


def test_patients_in_both_halves_are_found_once_and_kept(dataset: Path, tmp_path: Path) -> None:
    held = json.loads((dataset / "splits.json").read_text())["validation"][0]
    assert find_held_out_doubles(tmp_path, {"mine": str(dataset)}, "validation") == {"mine": {held}}
    assert find_held_out_doubles(tmp_path, {"mine": str(dataset)}, "test") == {"mine": set()}
    shutil.rmtree(dataset)
    assert find_held_out_doubles(tmp_path, {"mine": str(dataset)}, "validation") == {"mine": {held}}
    with pytest.raises(FileNotFoundError, match="nowhere"):
        find_held_out_doubles(tmp_path, {"other": "/nowhere"}, "validation")


def test_a_damaged_note_is_named(tmp_path: Path) -> None:
    (tmp_path / "doubles.json").write_text("{")
    with pytest.raises(ValueError, match=r"doubles\.json: no JSON .* remove it"):
        find_held_out_doubles(tmp_path, {}, "test")


def test_a_comparison_shows_its_table_without_them_too(dataset: Path, tmp_path: Path) -> None:
    commands = FakeCommands(tmp_path / "journal")
    grid = {"bundles": "supervised,cts", "dataset_dir": str(dataset), "dataset": "mine"}
    plain = compare(tmp_path / "out", grid, commands=commands).read_text()
    assert "Without doubles" not in plain
    # p1 and p2 are the patients that the runs scored
    (tmp_path / "out" / "doubles.json").write_text('{"validation": {"mine": ["p2"]}}')
    text = compare(tmp_path / "out", report_only=True, clean_split=True).read_text()
    both, without = text.split("### Without doubles: strict protocol, validation cases")
    assert "| all | supervised | 1 | 0.550 ± 0.071 |" in both
    assert "| all | supervised | 1 | 0.500 |" in without
    assert "without p2, who are in the training data too" in without
