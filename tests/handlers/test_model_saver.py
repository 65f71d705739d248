from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events
from torch import nn

from fewlabel.handlers import ModelSaver, is_better, load_network


def network(hidden: int = 2, value: float = 0.0) -> nn.Module:
    result = nn.Sequential(nn.Linear(1, hidden), nn.BatchNorm1d(hidden))
    nn.init.constant_(result[0].weight, value)
    return result


def train(folder: Path, metrics: Sequence[float | None], **settings: Any) -> nn.Module:
    """Set the weight to 1, 2, ... epoch by epoch, and let validation find these metrics; None validates nothing."""
    model, evaluator = network(), Engine(lambda *_: None)
    if settings.get("second_network") == "the network":
        settings["second_network"] = model
    evaluator.state.best_metric, evaluator.state.best_metric_epoch = -1.0, -1
    trainer = Engine(lambda *_: None)

    @trainer.on(Events.EPOCH_COMPLETED)
    def validate() -> None:
        epoch = trainer.state.epoch
        nn.init.constant_(model[0].weight, float(epoch))
        metric = metrics[epoch - 1]
        # what MONAI's evaluator does
        state = evaluator.state
        if metric is not None and (state.best_metric_epoch == -1 or is_better(metric, state.best_metric)):
            state.best_metric, state.best_metric_epoch = metric, epoch

    ModelSaver(model, folder, evaluator, **settings).attach(trainer)
    trainer.run([0], max_epochs=len(metrics))
    return model


def weight(file: Path) -> float:
    return torch.load(file, weights_only=True)["0.weight"][0].item()


@pytest.mark.parametrize(
    ("metrics", "best"),
    [
        ([0.1, 0.5, 0.3], 2),
        ([0.5, 0.5, 0.5], 1),
        ([0.1, None, None], 1),
        ([None, 0.2, None], 2),
        ([math.nan, 0.1, math.nan], 2),
        ([0.4, math.nan, 0.1], 1),
        ([math.nan, math.nan, math.nan], 3),
    ],
)
def test_model_is_the_best_on_validation_and_model_last_the_last(
    tmp_path: Path, metrics: list[float | None], best: int
) -> None:
    train(tmp_path, metrics)
    assert weight(tmp_path / "model.pt") == best
    assert weight(tmp_path / "model_last.pt") == 3


def test_without_validation_the_last_weights_are_saved_under_both_names(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        train(tmp_path, [None, None])
    assert weight(tmp_path / "model.pt") == weight(tmp_path / "model_last.pt") == 2
    assert "no validation took place" in caplog.text


def test_where_validation_measures_nothing_no_epoch_is_the_best(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        train(tmp_path, [math.nan, math.nan])
    assert weight(tmp_path / "model.pt") == weight(tmp_path / "model_last.pt") == 2
    assert re.search("validation had nothing to measure: .*model.pt holds the last weights", caplog.text)


def test_the_second_student_is_of_the_same_epoch_as_the_first(tmp_path: Path) -> None:
    model = network()
    trained = train(tmp_path, [0.1, 0.5, 0.3], second_network=model)
    assert trained is not model
    assert (
        weight(tmp_path / "model_second.pt") == weight(tmp_path / "model_second_last.pt") == 0
    )  # it is not trained here
    shared = train(tmp_path / "shared", [0.1, 0.5, 0.3], second_network="the network")
    assert weight(tmp_path / "shared" / "model_second.pt") == 2
    assert weight(tmp_path / "shared" / "model_second_last.pt") == shared[0].weight[0].item() == 3


def test_without_a_second_student_there_is_no_file_of_one(tmp_path: Path) -> None:
    train(tmp_path, [0.1])
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.pt", "model_last.pt"]


def test_the_files_are_plain_state_dicts_with_their_settings_beside_them(tmp_path: Path) -> None:
    model = train(tmp_path, [0.1, 0.2], settings={"size": 96, "norm": "batch"})
    for name in ("model", "model_last"):
        state = torch.load(tmp_path / f"{name}.pt", weights_only=True)
        assert type(state) is dict
        assert state.keys() == model.state_dict().keys()
        assert all(torch.equal(value, model.state_dict()[key]) for key, value in state.items())
        assert json.loads((tmp_path / f"{name}.json").read_text()) == {"size": 96, "norm": "batch"}


@pytest.mark.parametrize("epoch", [2, 3], ids=["the best", "the last"])
@pytest.mark.parametrize("which", ["network", "second_network"])
def test_weights_that_are_not_finite_never_replace_good_ones(tmp_path: Path, which: str, epoch: int) -> None:
    good = train(tmp_path, [0.1, 0.2, 0.3], settings={"size": 96}, second_network=network())
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    broken = {"network": network(), "second_network": network()}
    broken[which][1].running_var.fill_(math.inf)
    saver = ModelSaver(ckpt_dir=tmp_path, evaluator=Engine(lambda *_: None), settings={"size": 64}, **broken)
    trainer = Engine(lambda *_: None)
    trainer.state.epoch = saver.evaluator.state.best_metric_epoch = epoch
    saver.evaluator.state.best_metric = 0.5
    file = {"network": "model", "second_network": "model_second"}[which] + {2: "", 3: "_last"}[epoch]
    with pytest.raises(ValueError, match=rf"{file}.pt: not written, because 1.running_var .* after epoch {epoch}"):
        saver(trainer) if epoch == 2 else saver._last(trainer)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    assert load_network(network(), tmp_path / "model.pt")[0].weight[0].item() == good[0].weight[0].item() == 3


def test_without_settings_no_note_is_written(tmp_path: Path) -> None:
    train(tmp_path, [0.1])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.pt", "model_last.pt"]


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    # a file where a folder should be: unlike permissions, it stops every user
    (tmp_path / "file").write_text("")
    with pytest.raises(PermissionError, match=r"file/models: can't write there .*--ckpt_dir"):
        train(tmp_path / "file" / "models", [0.1])


@pytest.mark.parametrize(
    ("current", "best", "better"),
    [(0.2, 0.1, True), (0.1, 0.1, False), (math.nan, 0.1, False), (0.0, math.nan, True), (math.nan, math.nan, False)],
)
def test_nan_is_worse_than_any_number(current: float, best: float, better: bool) -> None:
    assert is_better(current, best) is better


class TestLoading:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        train(tmp_path, [0.1, 0.2])
        return tmp_path / "model.pt"

    def refuses(self, file: Path, model: nn.Module, message: str, error: type[Exception] = ValueError) -> None:
        """Loading must fail with this message and leave the network as it is."""
        before = {key: value.clone() for key, value in model.state_dict().items()}
        with pytest.raises(error, match=message):
            load_network(model, file)
        assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())

    def test_weights_and_buffers_arrive(self, file: Path) -> None:
        model = network()
        model[1].running_mean.fill_(5.0)
        assert load_network(model, file) is model
        assert model[0].weight[0].item() == 2
        assert model[1].running_mean[0].item() == 0

    def test_a_missing_file(self, tmp_path: Path) -> None:
        self.refuses(
            tmp_path / "no.pt", network(), r"no.pt: no such file; train first, .*--checkpoint", FileNotFoundError
        )

    def test_a_folder(self, tmp_path: Path) -> None:
        self.refuses(tmp_path, network(), "no such file", FileNotFoundError)

    @pytest.mark.parametrize("kept", [0.0, 0.2, 0.6, 0.98])
    def test_a_file_cut_short(self, file: Path, kept: float) -> None:
        file.write_bytes(file.read_bytes()[: int(file.stat().st_size * kept)])
        reason = "or not written by torch.save" if kept else "the file is empty"
        self.refuses(file, network(), rf"model.pt: damaged, {reason}")

    def test_a_file_of_something_else(self, file: Path) -> None:
        file.write_text("weights")
        self.refuses(file, network(), r"model.pt: damaged, or not written by torch.save")

    def test_a_whole_pickled_network_whose_code_is_not_run(self, file: Path) -> None:
        torch.save(network(), file)
        self.refuses(file, network(), r"model.pt: damaged, or not written by torch.save")

    @pytest.mark.parametrize(
        ("content", "described"),
        [({"model": {}, "epoch": 3}, r"a dictionary with \['epoch', 'model'\]"), ([1, 2], "list"), (3.0, "float")],
    )
    def test_a_file_that_holds_no_state_dict(self, file: Path, content: Any, described: str) -> None:
        torch.save(content, file)
        self.refuses(file, network(), f"model.pt: holds {described}, not a plain state dict of tensors")

    def test_other_shapes_are_named(self, file: Path) -> None:
        message = r"another architecture than Sequential: 0.bias is \(2,\) instead of \(3,\).*--num_classes"
        self.refuses(file, network(hidden=3), message)

    def test_missing_and_unknown_weights_are_named(self, file: Path) -> None:
        other = nn.Sequential(nn.Linear(1, 2, bias=False), nn.BatchNorm1d(2), nn.Linear(2, 1))
        self.refuses(file, other, r"2 missing \(2.bias, 2.weight\); 1 unknown \(0.bias\)")

    def test_an_empty_state_dict(self, file: Path) -> None:
        torch.save({}, file)
        self.refuses(file, network(), r"7 missing \(0.bias, 0.weight, 1.bias, ...\)")

    def test_the_prefix_of_distributed_training_is_explained(self, file: Path) -> None:
        torch.save({f"module.{key}": value for key, value in network().state_dict().items()}, file)
        self.refuses(file, network(), r"begin with 'module.'.*save network.module.state_dict\(\) instead")

    @pytest.mark.parametrize("value", [math.nan, math.inf])
    def test_weights_that_are_not_finite_are_refused_by_name(self, file: Path, value: float) -> None:
        state = torch.load(file, weights_only=True)
        state["0.bias"][1] = value
        torch.save(state, file)
        self.refuses(file, network(), r"model.pt: 0.bias is not finite, so the network would segment nothing")
