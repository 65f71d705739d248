from __future__ import annotations

import math
from pathlib import Path

import pytest

from fewlabel.handlers import read_history
from helpers.small_training import Recorder, StopAfter, training


def test_each_epoch_leaves_the_means_of_its_terms_and_what_was_in_force(tmp_path: Path) -> None:
    recorder = Recorder()
    training(tmp_path, epochs=2, more_handlers=[recorder]).run()
    records = read_history(tmp_path / "history.jsonl")
    assert [(record["epoch"], record["step"]) for record in records] == [(1, 3), (2, 6)]
    for number, record in enumerate(records):
        steps = recorder.steps[3 * number : 3 * number + 3]
        assert record["loss"] == pytest.approx(sum(step["loss"] for step in steps) / 3)
        assert record["weights"] == steps[-1]["weights"]
        assert record["learning_rates"] == steps[-1]["rates"]
        assert record["terms"].keys() == {"supervised", "agreement"}
        assert 0 <= record["validation"]["mean_dice"] <= 1
        assert record["seconds"] > 0
    # the mean of the weighted sum over three steps, of which only one weight changes
    first, weights = records[0], [step["weights"]["agreement"] for step in recorder.steps[:3]]
    assert first["terms"]["supervised"] < first["loss"] < first["terms"]["supervised"] + max(weights) * 10


def test_a_metric_of_nothing_is_no_number_of_the_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fewlabel.metrics.StrictDice.aggregate", lambda self: math.nan)
    training(tmp_path, epochs=1).run()
    [record] = read_history(tmp_path / "history.jsonl")
    assert record["validation"] == {}
    assert record["nothing_to_measure"] == ["mean_dice"]
    assert "NaN" not in (tmp_path / "history.jsonl").read_text()


def test_a_resumed_training_replaces_the_epochs_it_trains_again(tmp_path: Path) -> None:
    training(tmp_path, epochs=3).run()
    file = tmp_path / "history.jsonl"
    whole = [(record["epoch"], record["loss"]) for record in read_history(file)]
    with pytest.raises(KeyboardInterrupt):
        training(tmp_path, epochs=3, more_handlers=[StopAfter(4)]).run()
    # as if the run had been killed between the history and the state of its second epoch
    file.write_text(file.read_text() + '{"epoch": 2, "loss": -1.0}\n')
    training(tmp_path, epochs=3, resume=True).run()
    assert [(record["epoch"], record["loss"]) for record in read_history(file)] == whole


def test_a_fresh_training_starts_a_fresh_history(tmp_path: Path) -> None:
    training(tmp_path, epochs=3).run()
    training(tmp_path, epochs=1).run()
    assert [record["epoch"] for record in read_history(tmp_path / "history.jsonl")] == [1]


def test_no_file_is_an_empty_history(tmp_path: Path) -> None:
    assert read_history(tmp_path / "none.jsonl") == []


@pytest.mark.parametrize("line", ["{", "[1]", "{}", '"epoch"', ""])
def test_a_line_that_is_no_record_is_an_error_that_names_file_and_line(tmp_path: Path, line: str) -> None:
    file = tmp_path / "history.jsonl"
    file.write_text(f'{{"epoch": 1}}\n{line}\n{{"epoch": 2}}\n')
    with pytest.raises(ValueError, match=r"history.jsonl, line 2: not"):
        read_history(file)
