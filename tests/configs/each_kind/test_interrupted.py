"""The commands of the README on a real bundle, tiny: killed and resumed, on two processes, tracked by MLflow."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fewlabel.data.phantoms.cohort import write_phantom
from fewlabel.handlers import read_history
from fewlabel.reports import read_scores_csv
from helpers.paths import ROOT, environment
from helpers.small_training import differences

CONFIGS = ROOT / "bundles" / "mcsc" / "configs"
TINY = ["--demo#steps", "6", "--demo#steps_per_epoch", "2", "--demo#size", "64", "--demo#groups_per_step", "2"]
TERMS = {"supervised_cnn", "supervised_transformer", "cross_cnn", "cross_transformer", "contrastive"}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def command(folder: Path, *more: str, config: str = str(CONFIGS / "train.json"), processes: int = 1) -> list[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    return [
        sys.executable,
        *(launcher if processes > 1 else []),
        *("-m", "monai.bundle", "run", "--config_file", config, *TINY),
        *("--output_dir", str(folder), "--ckpt_dir", str(folder / "models"), *more),
    ]


def finish(arguments: list[str]) -> str:
    done = subprocess.run(arguments, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    return done.stdout + done.stderr


def kill_when(arguments: list[str], due: Callable[[], bool], log: Path) -> None:
    """Start a training and kill it, and its workers, as soon as something is ``due``."""
    with log.open("w") as stream:
        process = subprocess.Popen(
            arguments, env=environment(), stdout=stream, stderr=subprocess.STDOUT, start_new_session=True
        )
        while not due():
            assert process.poll() is None, log.read_text()[-5000:]
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def weights(folder: Path, name: str) -> dict[str, torch.Tensor]:
    return torch.load(folder / "models" / name, weights_only=True)


def test_a_bundle_killed_between_and_while_saving_ends_as_if_nothing_had_happened(tmp_path: Path) -> None:
    write_phantom(tmp_path / "phantom")
    own = ["--demo_dir", str(tmp_path / "phantom"), "--num_workers", "1"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    finish(command(whole, *own))
    state, log = killed / "models" / "training_state.pt", tmp_path / "log.txt"

    def saving_again() -> bool:
        return state.exists() and any(state.parent.glob(f".{state.name}.*.partial"))

    kill_when(command(killed, *own), saving_again, log)  # while the second epoch is saved
    first = torch.load(state, weights_only=True)["epoch"]
    assert first in (1, 2)

    resumed: list[float] = []

    def in_an_epoch() -> bool:
        if not resumed and "resumed after epoch" in log.read_text():
            resumed.append(time.monotonic())
        return bool(resumed) and time.monotonic() > resumed[0] + 0.5

    kill_when(command(killed, *own, "--resume", "true"), in_an_epoch, log)
    assert torch.load(state, weights_only=True)["epoch"] == first
    finish(command(killed, *own, "--resume", "true"))
    for name in ("training_state.pt", "model.pt", "model_last.pt"):
        assert differences(weights(killed, name), weights(whole, name)) == [], name
    for records in zip(*(read_history(folder / "history.jsonl") for folder in (killed, whole)), strict=True):
        assert differences(*({**record, "seconds": 0} for record in records)) == []
    assert (killed / "scores.csv").read_text() == (whole / "scores.csv").read_text()
    assert not list(state.parent.glob(".training_state*"))


def test_two_processes_train_evaluate_and_write_once(tmp_path: Path) -> None:
    both = str([str(CONFIGS / "train.json"), str(CONFIGS / "multi_gpu_train.json")])
    output = finish(command(tmp_path, config=both, processes=2))  # the phantom is drawn by both at once
    assert output.count("report:") == 1
    assert output.count("epoch 3/3") == 1
    assert len(list(tmp_path.glob("events.out.tfevents.*"))) == 1
    assert {path.name for path in (tmp_path / "models").iterdir()} == {
        "model.json", "model.pt", "model_last.json", "model_last.pt", "model_second.pt", "model_second_last.pt",
        "training_state.pt",
    }  # fmt: skip
    assert [record["epoch"] for record in read_history(tmp_path / "history.jsonl")] == [1, 2, 3]
    # 4 volumes, 3 classes, 2 checkpoints, 2 protocols
    assert len(read_scores_csv(tmp_path / "scores.csv")) == 4 * 3 * 2 * 2
    assert len(torch.load(tmp_path / "models" / "training_state.pt", weights_only=True)["random"]) == 2
    resumed = finish(command(tmp_path, "--resume", "true", config=both, processes=2))
    assert "resumed after epoch 3 of 3" in resumed


def test_tensorboard_and_mlflow_hold_the_loss_and_the_terms(tmp_path: Path) -> None:
    finish(command(tmp_path, "--tracking", "mlflow"))
    events = EventAccumulator(str(tmp_path)).Reload()
    assert set(events.Tags()["scalars"]) >= {"loss", *TERMS}
    assert [event.step for event in events.Scalars("contrastive")] == [1, 2, 3, 4, 5, 6]
    with sqlite3.connect(tmp_path / "mlruns.db") as database:
        metrics = database.execute("SELECT key, COUNT(*) FROM metrics GROUP BY key").fetchall()
        assert database.execute("SELECT status FROM runs").fetchall() == [("FINISHED",)]
    names = dict(metrics)
    assert names["train_loss"] >= 6
    assert "val_mean_dice" in names
