from __future__ import annotations

import io
import logging
import math
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from ignite.engine import Events

from fewlabel.handlers import Progress
from helpers.small_training import StopAfter, evaluator, training


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "fewlabel.handlers.progress"]


def test_a_log_gets_a_line_per_epoch_and_no_bar(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.INFO, logger="fewlabel"):
        training(tmp_path, epochs=2, more_handlers=[Progress()]).run()
    first, second = lines(caplog)
    assert first.startswith("epoch 1/2  step 3/6  loss ")
    assert second.startswith("epoch 2/2  step 6/6  loss ")
    assert "supervised " in first
    assert "agreement " in first
    assert second.endswith("about 0 s left")
    assert "step/s" not in capsys.readouterr().err


def test_the_key_metric_is_shown_after_a_validation_of_that_epoch_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    validator, never = evaluator(torch.nn.Conv2d(1, 2, 1)), evaluator(torch.nn.Conv2d(1, 2, 1))
    trainer = training(tmp_path, epochs=2, more_handlers=[Progress(validator), Progress(never)])
    trainer.add_event_handler(Events.EPOCH_STARTED(once=2), lambda: validator.run(2))
    with caplog.at_level(logging.INFO, logger="fewlabel"):
        trainer.run()
    assert ["val_mean_dice" in line for line in lines(caplog)] == [False, False, True, False]


def test_that_there_is_nothing_to_measure_is_said_in_place_of_a_number(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fewlabel.metrics.StrictDice.aggregate", lambda self: math.nan)
    validator = evaluator(torch.nn.Conv2d(1, 2, 1))
    trainer = training(tmp_path, epochs=2, more_handlers=[Progress(validator)])
    trainer.add_event_handler(Events.EPOCH_STARTED, lambda: validator.run(trainer.state.epoch))
    with caplog.at_level(logging.INFO, logger="fewlabel"):
        trainer.run()
    assert all("val_mean_dice: nothing to measure |" in line for line in lines(caplog))
    warnings = [record for record in caplog.records if record.name == "fewlabel.handlers.strict_mean_dice"]
    assert len(warnings) == 2  # one of each validator, not of each epoch
    assert "no epoch can be called the best" in warnings[0].getMessage()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar_over_the_whole_training_that_is_closed_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    training(tmp_path, epochs=2, more_handlers=[Progress(every=1)]).run()
    assert "6/6" in terminal.getvalue()
    assert "supervised=" in terminal.getvalue()
    assert terminal.getvalue().endswith("\n")


def test_a_resumed_training_counts_on_and_estimates_by_its_own_steps(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyboardInterrupt):
        training(tmp_path, epochs=4, more_handlers=[StopAfter(8)]).run()
    clock = iter(range(0, 1000, 30))
    monkeypatch.setattr("fewlabel.handlers.progress.time", SimpleNamespace(perf_counter=lambda: float(next(clock))))
    with caplog.at_level(logging.INFO, logger="fewlabel"):
        training(tmp_path, epochs=4, resume=True, more_handlers=[Progress()]).run()
    # 3 of the 6 steps left took 30 s by this clock: 30 s for the other 3, not 10 s for 3 of 9 + 3
    assert [line.split(" | ")[1] for line in lines(caplog)] == ["30 s, about 30 s left", "60 s, about 0 s left"]
    assert lines(caplog)[0].startswith("epoch 3/4  step 9/12")


def test_an_error_closes_the_bar_and_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    progress = Progress()
    with pytest.raises(KeyboardInterrupt):
        training(tmp_path, epochs=2, more_handlers=[progress, StopAfter(2)]).run()
    assert progress._bar is None
