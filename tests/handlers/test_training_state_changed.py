"""A run that is resumed with other settings or data than it was started with."""

from __future__ import annotations

import contextlib
import logging
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fewlabel.handlers import read_history
from helpers.small_training import Noisy, Recorder, StopAfter, differences, training


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with contextlib.suppress(KeyboardInterrupt):
        training(tmp_path, settings={"size": 5, "steps": 12}, more_handlers=[StopAfter(7)]).run()
    return tmp_path


def state(folder: Path) -> dict[str, Any]:
    return torch.load(folder / "training_state.pt", weights_only=True)


class Brighter(Noisy):
    """The same networks with another setting of the method."""

    def __init__(self) -> None:
        super().__init__(dropout=0.4)


CHANGES = [
    ({"rate": 0.01}, r"optimizer0.network.lr: 0.05, now 0.01"),
    ({"peak": 0.1}, r"weights.agreement.peak: 0.5, now 0.1"),
    ({"batch_size": 3}, r"data_loader.labeled_batch_size: 2, now 3"),
    ({"seed": 1}, r"data_loader.seed: 0, now 1"),
    ({"method": Brighter}, r"method.network.2.p: 0.3, now 0.4"),
    ({"settings": {"size": 6, "steps": 12}}, r"settings.size: 5, now 6"),
    ({"epochs": 3}, r"max_epochs: 4, now 3"),
]


@pytest.mark.parametrize(("change", "said"), CHANGES, ids=[next(iter(change)) for change, _ in CHANGES])
def test_a_change_of_what_decides_the_result_is_refused_by_name_or_allowed_and_noted(
    folder: Path, change: dict[str, Any], said: str
) -> None:
    before = (folder / "training_state.pt").read_bytes()

    def again(**more: Any) -> Any:
        made = {key: value() if key == "method" else value for key, value in change.items()}
        return training(folder, resume=True, **{"settings": {"size": 5, "steps": 12}, **made, **more})

    with pytest.raises(ValueError, match=rf"training_state.pt: made with other .*{said}.*--resume_changed true"):
        again().run()
    assert (folder / "training_state.pt").read_bytes() == before
    again(resume_changed=True).run()
    noted = [record.get("resumed_with", []) for record in read_history(folder / "history.jsonl")]
    assert noted[:2] == [[], []]
    assert any(said.split(",")[0] in change for change in noted[2])
    assert noted[3:] in ([], [[]])
    again(epochs=change.get("epochs", 4)).run()  # from now on this is what the run is made with


@pytest.mark.parametrize("change", [{"num_workers": 1}, {"interval": 2}, {"epochs": 5}], ids=lambda c: next(iter(c)))
def test_what_does_not_change_the_result_goes_on(folder: Path, change: dict[str, Any]) -> None:
    training(folder, resume=True, **{"settings": {"size": 5, "steps": 15}, **change, "epochs": 5}).run()
    assert all("resumed_with" not in record for record in read_history(folder / "history.jsonl"))


def test_the_new_learning_rate_is_used_and_is_as_far_along_its_schedule(folder: Path) -> None:
    recorder = Recorder()
    settings = {"size": 5, "steps": 12}
    training(folder, resume=True, resume_changed=True, rate=0.01, settings=settings, more_handlers=[recorder]).run()
    # recorded behind the seventh of twelve steps: t = 7
    assert recorder.steps[0]["step"] == 7
    assert recorder.steps[0]["rates"] == pytest.approx([0.01 * (1 - 7 / 12) ** 0.9, 0.02 * (1 - 1 / 6) ** 0.9])


def test_allowing_changes_changes_nothing_where_nothing_differs(tmp_path: Path) -> None:
    training(tmp_path / "whole").run()
    with contextlib.suppress(KeyboardInterrupt):
        training(tmp_path / "pieces", more_handlers=[StopAfter(7)]).run()
    training(tmp_path / "pieces", resume=True, resume_changed=True).run()
    states = [state(tmp_path / run) for run in ("whole", "pieces")]
    assert differences(*states) == []


def test_changes_are_for_runs_that_go_on(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="give --resume true too"):
        training(tmp_path, resume_changed=True)


def test_a_state_that_noted_no_settings_goes_on_with_a_warning(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = state(folder)
    del content["made_with"]
    torch.save(content, folder / "training_state.pt")
    with caplog.at_level(logging.WARNING):
        training(folder, resume=True, rate=0.01).run()
    assert "noted no settings" in caplog.text


def test_other_versions_are_told_and_go_on(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = state(folder)
    content["made_with"]["versions"]["torch"] = "1.0"
    content["made_with"]["device"] = "cuda"
    torch.save(content, folder / "training_state.pt")
    with caplog.at_level(logging.WARNING):
        training(folder, resume=True, settings={"size": 5, "steps": 12}).run()
    assert "device cuda, now cpu; torch 1.0, now" in caplog.text


def test_a_schedule_that_ends_before_the_longer_run_is_refused_at_once(tmp_path: Path) -> None:
    def cosine(epochs: int, **more: Any) -> Any:
        engine = training(tmp_path, epochs=epochs, **more)
        engine.lr_schedulers = (torch.optim.lr_scheduler.CosineAnnealingLR(engine.optimizers[0], 3 * epochs),)
        return engine

    cosine(2).run()
    with pytest.raises(ValueError, match="its CosineAnnealingLR ends after 6 steps, this run has 9"):
        cosine(3, resume=True).run()
    cosine(3, resume=True, resume_changed=True).run()


class Diverging(Noisy):
    """A step of the third epoch puts an infinite value into the weights, with a finite loss and gradient."""

    def forward(self, batch: Any, progress: float = 0.0) -> dict[str, Tensor]:
        terms = super().forward(batch, progress)
        if progress >= 8 / 12:
            nn.init.constant_(self.scale[0].bias, math.inf)  # type: ignore[arg-type, index]
        return terms


def test_a_state_that_is_not_finite_never_replaces_a_good_one_and_the_run_fails(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"method.scale.0.bias.* is not finite after epoch 3; nothing was written"):
        training(tmp_path, method=Diverging()).run()
    assert state(tmp_path)["epoch"] == 2
    assert not list(tmp_path.glob(".*.partial"))


def test_a_state_that_is_not_finite_is_not_gone_on_from(folder: Path) -> None:
    content = state(folder)
    content["method"]["network.0.weight"].fill_(math.nan)
    torch.save(content, folder / "training_state.pt")
    with pytest.raises(ValueError, match=r"training_state.pt: method.network.0.weight is not finite"):
        training(folder, resume=True, settings={"size": 5, "steps": 12}).run()
