from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fewlabel.handlers import TrainingState, read_history
from helpers.small_training import Noisy, Recorder, StopAfter, differences, training


def run(trainer: Any) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        trainer.run()


def state(folder: Path) -> dict[str, Any]:
    return torch.load(folder / "training_state.pt", weights_only=True)


def history(folder: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in record.items() if k != "seconds"} for record in read_history(folder / "history.jsonl")]


@pytest.mark.parametrize(("num_workers", "amp"), [(0, "off"), (1, "off"), (0, "bfloat16")])
@pytest.mark.parametrize("stops", [[5], [4, 6, 11]], ids=["stopped once", "stopped three times"])
def test_a_resumed_training_equals_one_that_never_stopped_bit_by_bit(
    tmp_path: Path, stops: list[int], num_workers: int, amp: str
) -> None:
    whole = Recorder()
    training(tmp_path / "whole", more_handlers=[whole], num_workers=num_workers, amp=amp).run()
    assert state(tmp_path / "whole")["made_with"]["bfloat16"] is (amp == "bfloat16")
    pieces = []
    for number, stop in enumerate([*stops, 10**6]):
        recorder = Recorder()
        run(
            training(
                tmp_path / "pieces",
                resume=number > 0,
                more_handlers=[recorder, StopAfter(stop)],
                num_workers=num_workers,
                amp=amp,
            )
        )
        pieces.append(recorder.steps)
    assert differences(state(tmp_path / "whole"), state(tmp_path / "pieces")) == []
    for name in ("model.pt", "model_last.pt"):
        weights = [torch.load(tmp_path / run / name, weights_only=True) for run in ("whole", "pieces")]
        assert differences(*weights) == []
    assert history(tmp_path / "whole") == history(tmp_path / "pieces")
    # each piece begins behind the last whole epoch (3 steps) and repeats what the whole training did there
    for steps in pieces:
        assert (steps[0]["step"] - 1) % 3 == 0
        assert steps == whole.steps[steps[0]["step"] - 1 : steps[-1]["step"]]
    assert pieces[-1][-1]["step"] == 12


def test_a_resumed_training_would_differ_without_its_state(tmp_path: Path) -> None:
    # guards the test above: dropout, noise and order really depend on where the generators and streams stand
    training(tmp_path / "one").run()
    training(tmp_path / "other", seed=1).run()
    found = differences(state(tmp_path / "one"), state(tmp_path / "other"))
    for part in ("method", "optimizer0", "random", "data"):
        assert any(place.startswith(f"/{part}/") for place in found), part


def test_the_saved_state_holds_all_parts_and_no_code(tmp_path: Path) -> None:
    training(tmp_path, epochs=1).run()
    assert state(tmp_path).keys() == {
        "epoch", "iteration", "epoch_length", "max_epochs", "best_metric", "best_metric_epoch", "random",
        "method", "optimizer0", "lr_scheduler0", "data", "made_with",
    }  # fmt: skip


def test_a_finished_training_resumes_to_nothing_left_to_do(tmp_path: Path) -> None:
    training(tmp_path).run()
    before = state(tmp_path)
    recorder = Recorder()
    trainer = training(tmp_path, resume=True, more_handlers=[recorder])
    trainer.run()
    assert recorder.steps == []
    assert trainer.state.epoch == 4
    assert differences(before, state(tmp_path)) == []


def test_states_are_saved_at_the_interval_and_after_the_last_epoch(tmp_path: Path) -> None:
    run(training(tmp_path, interval=2, more_handlers=[StopAfter(11)]))
    assert state(tmp_path)["epoch"] == 2
    training(tmp_path, interval=3, resume=True).run()
    assert state(tmp_path)["epoch"] == 4
    with pytest.raises(ValueError, match="interval must be at least 1, got 0"):
        TrainingState(tmp_path / "x", interval=0)


def test_a_longer_training_takes_up_ramps_and_rates_of_its_new_length_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    training(tmp_path, epochs=2).run()
    recorder = Recorder()
    with caplog.at_level(logging.WARNING):
        training(tmp_path, epochs=4, resume=True, more_handlers=[recorder]).run()
    assert "made for 2 epochs, this run has 4" in caplog.text
    # the seventh of twelve steps; recorded behind it, when the rate of the next one is set: t = 7
    assert recorder.steps[0]["step"] == 7
    assert recorder.steps[0]["rates"] == pytest.approx([0.05 * (1 - 7 / 12) ** 0.9, 0.02 * (1 - 1 / 6) ** 0.9])


class TestErrors:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        training(tmp_path, epochs=2).run()
        return tmp_path

    def test_nothing_to_resume_from(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match=r"training_state.pt: no such file; nothing to resume from"):
            training(tmp_path, resume=True).run()

    def test_nothing_to_resume_from_but_an_older_state_set_aside(self, folder: Path) -> None:
        (folder / "training_state.pt").rename(folder / "training_state.pt.previous")
        with pytest.raises(FileNotFoundError, match=r"set aside as .*training_state.pt.previous"):
            training(folder, epochs=2, resume=True).run()

    def test_another_architecture(self, folder: Path) -> None:
        with pytest.raises(ValueError, match=r"training_state.pt: its method does not fit .*size mismatch for network"):
            training(folder, epochs=2, resume=True, resume_changed=True, method=Noisy(hidden=6)).run()

    def test_another_seed(self, folder: Path) -> None:
        with pytest.raises(ValueError, match=r"training_state.pt: made with other .*data_loader.seed: 0, now 1"):
            training(folder, epochs=2, resume=True, seed=1).run()

    def test_other_steps_per_epoch(self, folder: Path) -> None:
        with pytest.raises(ValueError, match="made with 3 steps per epoch, this run has 4"):
            training(folder, epochs=2, steps_per_epoch=4, resume=True).run()

    def test_fewer_epochs_than_are_done(self, folder: Path) -> None:
        with pytest.raises(ValueError, match="made after epoch 2, this run ends at 1"):
            training(folder, epochs=1, resume=True).run()

    def test_another_number_of_processes(self, folder: Path) -> None:
        content = state(folder)
        content["random"] = content["random"] * 2
        torch.save(content, folder / "training_state.pt")
        with pytest.raises(ValueError, match="made by 2 processes, this run has 1"):
            training(folder, epochs=2, resume=True).run()

    def test_another_set_of_optimizers(self, folder: Path) -> None:
        content = state(folder)
        content["optimizer1"] = content["optimizer0"]
        torch.save(content, folder / "training_state.pt")
        with pytest.raises(ValueError, match=r"holds .*'optimizer1'.*this training run is made of"):
            training(folder, epochs=2, resume=True).run()

    def test_other_parameter_groups(self, folder: Path) -> None:
        content = state(folder)
        content["optimizer0"]["param_groups"].pop()
        torch.save(content, folder / "training_state.pt")
        with pytest.raises(ValueError, match="its optimizer0 does not fit this training"):
            training(folder, epochs=2, resume=True).run()

    def test_a_file_of_weights_instead_of_a_state(self, folder: Path) -> None:
        (folder / "model.pt").rename(folder / "training_state.pt")
        with pytest.raises(ValueError, match=r"training_state.pt: holds no state of a training"):
            training(folder, epochs=2, resume=True).run()

    @pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.99])
    def test_a_file_cut_short(self, folder: Path, kept: float) -> None:
        file = folder / "training_state.pt"
        file.write_bytes(file.read_bytes()[: int(file.stat().st_size * kept)])
        with pytest.raises(ValueError, match=r"training_state.pt: damaged"):
            training(folder, epochs=2, resume=True).run()

    def test_a_file_of_noise(self, folder: Path) -> None:
        (folder / "training_state.pt").write_bytes(np.random.default_rng(0).bytes(5000))
        with pytest.raises(ValueError, match=r"training_state.pt: damaged"):
            training(folder, epochs=2, resume=True).run()


def test_starting_afresh_again_and_again_loses_no_state(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    old = []
    for number, name in enumerate(["training_state.pt.previous", "training_state.pt.previous2"]):
        training(tmp_path, epochs=2, seed=number).run()
        old.append((tmp_path / "training_state.pt").read_bytes())
        with caplog.at_level(logging.INFO):
            run(training(tmp_path, epochs=2, more_handlers=[StopAfter(2)]))
        assert not (tmp_path / "training_state.pt").exists()
        assert f"kept as {tmp_path / name}" in caplog.text
    kept = sorted(tmp_path.glob("*.previous*"))
    assert [file.read_bytes() for file in kept] == old


def test_a_fresh_run_that_fails_before_its_first_step_leaves_the_old_state_where_it_is(tmp_path: Path) -> None:
    class Fails(Noisy):
        def forward(self, batch: Any, progress: float = 0.0) -> dict[str, torch.Tensor]:
            raise ValueError("the size does not fit")

    training(tmp_path, epochs=2).run()
    old = (tmp_path / "training_state.pt").read_bytes()
    with pytest.raises(ValueError, match="the size does not fit"):
        training(tmp_path, epochs=2, method=Fails()).run()
    assert (tmp_path / "training_state.pt").read_bytes() == old
    assert not list(tmp_path.glob("*.previous*"))


def test_what_a_killed_run_was_writing_is_removed_and_other_files_are_not(tmp_path: Path) -> None:
    left, other = tmp_path / ".training_state.pt.ab12.partial", tmp_path / ".model.pt.ab12.partial"
    left.write_bytes(b"half")
    other.write_bytes(b"half")
    training(tmp_path, epochs=1).run()
    assert not left.exists()
    assert other.exists()


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "occupied").write_text("a file where the folder should be")
    with pytest.raises(PermissionError, match=r"occupied.*--ckpt_dir"):
        training(tmp_path / "occupied", epochs=1).run()
