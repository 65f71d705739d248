from __future__ import annotations

from pathlib import Path

import pytest
import torch
from monai.handlers import TensorBoardStatsHandler, from_engine
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fewlabel.handlers import read_history, step_scalars
from helpers.small_training import training


def test_loss_and_terms_become_floats() -> None:
    output = [{"loss": torch.tensor(3.0), "terms": {"a": torch.tensor(1.0), "b": torch.tensor(2.0)}}]
    assert step_scalars(output) == {"loss": 3.0, "a": 1.0, "b": 2.0}


def test_tensorboard_gets_each_term_at_each_step(tmp_path: Path) -> None:
    board = TensorBoardStatsHandler(log_dir=str(tmp_path / "board"), tag_name="train", output_transform=step_scalars)
    training(tmp_path, epochs=2, more_handlers=[board]).run()
    events = EventAccumulator(str(tmp_path / "board")).Reload()
    assert {"loss", "supervised", "agreement"} <= set(events.Tags()["scalars"])
    series = events.Scalars("agreement")
    assert [event.step for event in series] == [1, 2, 3, 4, 5, 6]
    mean = read_history(tmp_path / "history.jsonl")[0]["terms"]["agreement"]
    assert sum(event.value for event in series[:3]) / 3 == pytest.approx(mean, rel=1e-5)


def test_monais_own_handlers_find_the_loss_where_its_trainers_have_it(tmp_path: Path) -> None:
    # what --tracking mlflow, MONAI Label and the zoo's handlers apply
    trainer = training(tmp_path, epochs=1)
    trainer.run()
    loss = from_engine(["loss"], first=True)(trainer.state.output)
    assert loss.item() == step_scalars(trainer.state.output)["loss"]
