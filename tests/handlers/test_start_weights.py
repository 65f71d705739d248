from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch
from ignite.engine import Events
from torch import Tensor

from fewlabel.handlers import StartWeights
from fewlabel.methods.base import Batch
from fewlabel.networks import Averaged
from helpers.small_training import Noisy, differences, training


class Taught(Noisy):
    """The small method with a teacher, which notes what it was before the first step."""

    def __init__(self) -> None:
        super().__init__()
        self.teacher = Averaged(self.network)
        self.first: dict[str, Tensor] = {}

    def forward(self, batch: Batch, progress: float = 0.0) -> dict[str, Tensor]:
        if not self.first:
            self.first = {name: value.clone() for name, value in self.teacher.network.state_dict().items()}
        return super().forward(batch, progress)


def weights(folder: Path, seed: int = 5, hidden: int = 4) -> Path:
    torch.manual_seed(seed)
    path = folder / "weights.pt"
    torch.save(Noisy(hidden=hidden).network.state_dict(), path)
    return path


def test_student_and_teacher_begin_with_the_weights_of_the_file(tmp_path: Path) -> None:
    file = weights(tmp_path)
    method = Taught()
    training(tmp_path / "run", method=method, epochs=1, more_handlers=[StartWeights(method.network, file)]).run()
    assert differences(method.first, torch.load(file, weights_only=True)) == []
    assert int(method.teacher.updates) == 3


def test_a_run_that_is_resumed_keeps_its_own_weights(tmp_path: Path) -> None:
    straight, pieces = Taught(), Taught()
    pieces.load_state_dict(straight.state_dict())
    training(tmp_path / "straight", method=straight, epochs=2).run()
    first = training(tmp_path / "pieces", method=pieces, epochs=2)
    first.add_event_handler(Events.EPOCH_COMPLETED(once=1), first.terminate)
    first.run()
    again = Taught()
    start = StartWeights(again.network, weights(tmp_path))
    training(tmp_path / "pieces", resume=True, method=again, epochs=2, more_handlers=[start]).run()
    assert differences(again.state_dict(), straight.state_dict()) == []


def test_a_warning_names_the_settings_that_differ_from_the_note(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = weights(tmp_path)
    file.with_suffix(".json").write_text(json.dumps({"size": 5, "intensity": {"mode": "zscore"}, "slice_axis": 2}))
    method = Taught()
    settings = {"intensity": {"mode": "minmax"}, "slice_axis": 2, "in_channels": 1}
    with caplog.at_level(logging.INFO):
        training(
            tmp_path / "run", method=method, epochs=1, more_handlers=[StartWeights(method.network, file, settings)]
        ).run()
    assert "starts with the weights of" in caplog.text
    warnings = [record.getMessage() for record in caplog.records if "were trained with" in record.getMessage()]
    assert len(warnings) == 1
    assert "{'intensity': {'mode': 'zscore'}}" in warnings[0]
    assert "this run has {'intensity': {'mode': 'minmax'}}" in warnings[0]


def test_weights_that_are_missing_or_of_another_network_are_errors(tmp_path: Path) -> None:
    method = Taught()
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pt: no such file; name a file of weights with --start"):
        StartWeights(method.network, tmp_path / "nowhere.pt")
    start = StartWeights(method.network, weights(tmp_path, hidden=3))
    with pytest.raises(ValueError, match="belong to another architecture"):
        training(tmp_path / "run", method=method, more_handlers=[start]).run()


@pytest.mark.parametrize(("text", "message"), [("{", "not valid JSON"), ("[1]", "expected settings by name")])
def test_a_note_that_is_none_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    file = weights(tmp_path)
    file.with_suffix(".json").write_text(text)
    method = Taught()
    with pytest.raises(ValueError, match=f"weights.json: {message}"):
        training(tmp_path / "run", method=method, more_handlers=[StartWeights(method.network, file)]).run()


def test_an_empty_file_of_weights_is_named_with_the_option_that_named_it(tmp_path: Path) -> None:
    file = tmp_path / "empty.pt"
    file.touch()
    method = Taught()
    with pytest.raises(ValueError, match=r"empty\.pt: damaged, the file is empty; name a file of weights with --start"):
        training(tmp_path / "run", method=method, more_handlers=[StartWeights(method.network, file)]).run()
