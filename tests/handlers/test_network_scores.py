from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from fewlabel.handlers import NetworkScores, load_network, read_history
from fewlabel.networks import Averaged
from helpers.small_training import Noisy, StopAfter, evaluator, training


class Taught(Noisy):
    """With a teacher that learns nothing from its student until the very end, or at once."""

    def __init__(self, decay: float = 0.5) -> None:
        super().__init__()
        self.teacher = Averaged(self.network, decay)


def run(folder: Path, **options: Any) -> Any:
    torch.manual_seed(0)
    trainer = training(folder, epochs=5, method=Taught(), both_networks=True, **options)
    trainer.run()
    return trainer


def dice(network: nn.Module) -> float:
    validator = evaluator(network)
    validator.run()
    return float(validator.state.metrics["val_mean_dice"])


def columns(folder: Path) -> tuple[list[float], list[float]]:
    records = [record["validation"] for record in read_history(folder / "history.jsonl")]
    return [record["mean_dice"] for record in records], [record["teacher_mean_dice"] for record in records]


def saved(folder: Path, name: str) -> float:
    return dice(load_network(Taught().network, folder / name))


def test_both_are_scored_in_each_epoch_and_each_keeps_the_weights_of_its_own_best(tmp_path: Path) -> None:
    run(tmp_path)
    student, teacher = columns(tmp_path)
    assert len(student) == len(teacher) == 5
    assert student.index(max(student)) != teacher.index(max(teacher)), "or the test says nothing"
    assert saved(tmp_path, "model.pt") == max(student)
    assert saved(tmp_path, "model_last.pt") == student[-1]
    assert saved(tmp_path, "model_teacher_best.pt") == max(teacher)
    assert saved(tmp_path, "model_teacher_last.pt") == teacher[-1]
    for name in ("model_teacher_best", "model_teacher_last"):
        assert (tmp_path / f"{name}.json").read_text() == (tmp_path / "model.json").read_text()


def test_scoring_the_teacher_changes_nothing_of_the_training(tmp_path: Path) -> None:
    run(tmp_path / "both")
    torch.manual_seed(0)
    training(tmp_path / "one", epochs=5, method=Taught()).run()
    for name in ("model.pt", "model_last.pt"):
        states = [torch.load(tmp_path / folder / name, weights_only=True) for folder in ("both", "one")]
        assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_a_network_that_is_not_asked_for_costs_no_inference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts: dict[bool, int] = {}
    for both in (True, False):
        torch.manual_seed(0)
        method = Taught()
        runs: list[int] = []
        method.teacher.network.register_forward_hook(lambda *_, runs=runs: runs.append(1))
        trainer = training(tmp_path / str(both), epochs=2, method=method, both_networks=both)
        trainer.run()
        counts[both] = len(runs)
        if both:
            validator = method_validator(trainer)
            validator.run()  # as the evaluation behind a training run does
            assert len(runs) == counts[both]
    assert counts == {True: 2 * 2, False: 0}


def method_validator(trainer: Any) -> Any:
    [scores] = [handler for handler in handlers(trainer) if isinstance(handler, NetworkScores)]
    return scores.evaluator


def handlers(trainer: Any) -> list[Any]:
    found = [entry[0] for entries in trainer._event_handlers.values() for entry in entries]
    owners = [getattr(handler, "__self__", handler) for handler in found]
    return list({id(owner): owner for owner in owners}.values())


def test_a_resumed_run_remembers_the_best_of_both(tmp_path: Path) -> None:
    run(tmp_path / "whole")
    _, teacher = columns(tmp_path / "whole")
    stop = 3 * (teacher.index(max(teacher)) + 1) + 1  # in the epoch behind the teacher's best
    torch.manual_seed(0)
    method = {"method": Taught(), "both_networks": True}
    with pytest.raises(KeyboardInterrupt):
        training(tmp_path / "parts", epochs=5, more_handlers=[StopAfter(stop)], **method).run()
    torch.manual_seed(1)
    training(tmp_path / "parts", resume=True, epochs=5, method=Taught(), both_networks=True).run()
    assert columns(tmp_path / "parts") == columns(tmp_path / "whole")
    for name in ("model.pt", "model_teacher_best.pt", "model_teacher_last.pt"):
        assert saved(tmp_path / "parts", name) == saved(tmp_path / "whole", name)


def test_weights_of_a_run_that_scored_both_are_set_aside_by_one_that_does_not(tmp_path: Path) -> None:
    run(tmp_path)
    training(tmp_path, epochs=1, method=Taught()).run()
    assert not (tmp_path / "model_teacher_best.pt").exists()
    assert not (tmp_path / "model_teacher_last.pt").exists()
    assert (tmp_path / "model_teacher_best.pt.previous").is_file()
    assert (tmp_path / "model_teacher_last.pt.previous").is_file()


def test_where_nothing_is_measured_the_last_weights_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fewlabel.metrics.StrictDice.aggregate", lambda self: math.nan)
    run(tmp_path)
    states = [torch.load(tmp_path / f"model_teacher_{name}.pt", weights_only=True) for name in ("best", "last")]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert read_history(tmp_path / "history.jsonl")[-1]["nothing_to_measure"] == ["mean_dice", "teacher_mean_dice"]


def test_a_method_of_one_network_has_no_other_to_score() -> None:
    with pytest.raises(ValueError, match="this method has one network; leave --both_networks out"):
        NetworkScores(evaluator(Noisy().network), Noisy().networks())
