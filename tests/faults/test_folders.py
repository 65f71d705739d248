"""Faults of folders and disks: killed while saving, full, read-only, shared by two runs, damaged caches, signals."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from fewlabel.folder_lock import LOCK_FILE
from helpers.faults import (
    BUNDLE,
    contents,
    cut_short,
    evaluation,
    kill_in_save,
    plant,
    read_only,
    run,
    segmentation,
    small_disk,
    start,
    training,
)
from helpers.small_training import differences
from helpers.waiting import wait_at_call

pytestmark = pytest.mark.slow
STATES = ("training_state.pt", "model.pt", "model_last.pt")


def state(folder: Path, name: str = "training_state.pt") -> dict[str, object]:
    return torch.load(folder / "models" / name, weights_only=True)


def leftovers(folder: Path) -> list[Path]:
    return [*folder.rglob(".*.partial"), *folder.rglob(LOCK_FILE)]


def ends_as_if_nothing_had_happened(folder: Path, whole: Path) -> None:
    for name in STATES:
        assert differences(state(folder, name), state(whole, name)) == [], name
    assert leftovers(folder) == []


def test_a_training_killed_while_it_saves_goes_on_and_ends_as_the_one_that_was_not(
    phantom: Path, trained_once: Path, tmp_path: Path
) -> None:
    words = training(phantom, tmp_path)
    run("fewlabel", *words, plant=plant(kill_in_save, "training_state.pt", 2)).was_killed()
    assert state(tmp_path)["epoch"] == 1
    left = leftovers(tmp_path)
    assert {file.name for file in left} > {LOCK_FILE}
    ended = run("fewlabel", *words, "--resume", "true").ended_well()
    assert ended.output.count("taken over from a run that ended without a word") == 2  # eval and models
    ends_as_if_nothing_had_happened(tmp_path, trained_once)


@pytest.mark.parametrize("room", ["tmpfs", "limit"])
def test_a_disk_that_fills_up_is_named_and_the_last_state_stays(
    phantom: Path, trained_once: Path, tmp_path: Path, room: str
) -> None:
    size = (trained_once / "models" / "training_state.pt").stat().st_size
    models = tmp_path / "models"
    words = training(phantom, tmp_path)
    if room == "tmpfs":
        with small_disk(models, 3 * size // 2048):  # a state and a half
            run("fewlabel", *words).says("/models/", f"not written, it did not fit on {models}, where", "are free")
            assert leftovers(tmp_path) == []
            for file in models.glob("*.pt"):
                torch.load(file, weights_only=True)
        return
    run("fewlabel", *words, plant=plant(kill_in_save, "training_state.pt", 2)).was_killed()
    before = contents(models)["training_state.pt"]
    ended = run("fewlabel", *words, "--resume", "true", largest_file=size // 2)
    ended.says("training_state.pt: not written, files there may not grow that large", "are free")
    assert contents(models)["training_state.pt"] == before
    run("fewlabel", *words, "--resume", "true").ended_well()
    ends_as_if_nothing_had_happened(tmp_path, trained_once)


def test_a_full_disk_below_the_cache_is_named(phantom: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "eval", 300) as full:
        run("fewlabel", *training(phantom, tmp_path)).says(full / "cache", f"did not fit on {full}, where")
        assert not list(full.rglob("*.partial"))


def test_a_full_disk_below_segmentations_fails_the_cases_that_do_not_fit(
    phantom: Path, trained: Callable[[], Path]
) -> None:
    folder = trained()
    with small_disk(folder / "segmentations", 12) as full:
        ended = run("fewlabel", *segmentation(phantom / "imagesTr", folder))
        assert ended.code == 1, ended.text
        assert f"not written, it did not fit on {full}" in ended.output
        assert "failed" in ended.output
    run("fewlabel", *segmentation(phantom / "imagesTr", folder)).ended_well()


@pytest.mark.parametrize("place", ["eval", "models"])
def test_a_training_into_a_read_only_folder_is_refused_before_its_first_step(
    phantom: Path, tmp_path: Path, place: str
) -> None:
    with read_only(tmp_path / place) as folder:
        ended = run("fewlabel", *training(phantom, tmp_path))
    ended.says(f"{folder}: can't write there", "Read-only file system" if os.geteuid() == 0 else "Permission denied")
    assert "epoch 1/2" not in ended.output
    assert not [file for file in contents(tmp_path) if file.endswith((".pt", ".npy"))]


@pytest.mark.parametrize("command", ["evaluate", "segment"])
def test_results_into_a_read_only_folder_are_refused_before_the_first_case(
    phantom: Path, trained: Callable[[], Path], command: str
) -> None:
    folder = trained()
    place = folder / {"evaluate": "eval", "segment": "segmentations"}[command]
    words = {"evaluate": evaluation(phantom, folder), "segment": segmentation(phantom / "imagesTr", folder)}[command]
    with read_only(place):
        ended = run("fewlabel", *words)
    ended.says(f"{place}: can't write there")
    assert "done" not in ended.output


@pytest.mark.parametrize("command", ["plan", "phantom", "prepare", "copy", "pack"])
def test_other_commands_notice_a_read_only_folder_before_their_work(
    phantom: Path, tmp_path: Path, command: str
) -> None:
    with read_only(tmp_path / "full") as folder:
        out = str(folder / "out")
        words = {
            "plan": [str(phantom), "--out", f"{out}.json"],
            "phantom": ["cardiac", out],
            "prepare": ["folders", str(phantom / "imagesTr"), str(phantom / "labelsTr"), out],
            "copy": [BUNDLE, str(folder)],
            "pack": [BUNDLE, "--out", out],
        }[command]
        run("fewlabel", command, *words).says(folder, "can't write", code=2)
        assert list(folder.iterdir()) == []


def test_a_second_training_in_the_folders_of_one_that_runs_is_refused_and_disturbs_nothing(
    phantom: Path, trained_once: Path, tmp_path: Path
) -> None:
    words = training(phantom, tmp_path)
    with start("fewlabel", *words, plant=plant(wait_in_an_epoch, str(tmp_path / "go on"))) as first:
        first.wait_until((tmp_path / "eval" / LOCK_FILE).is_file)
        second = run("fewlabel", *words)
        second.says(
            f"{tmp_path / 'eval'}: another run works in it (process {first.process.pid} on {os.uname().nodename}",
            "started 20",
            "train.json",
        )
        run("fewlabel", *evaluation(phantom, tmp_path)).says("another run works in it")
        (tmp_path / "go on").touch()
        first.end().ended_well()
    ends_as_if_nothing_had_happened(tmp_path, trained_once)


def wait_in_an_epoch(go_on: str) -> None:
    """Plant: let no step begin before a file is there."""
    import time

    from fewlabel.methods import Supervised

    real = Supervised.forward

    def forward(*arguments: object) -> object:
        while not Path(go_on).exists():
            time.sleep(0.05)
        return real(*arguments)

    Supervised.forward = forward


def test_what_a_dead_run_on_another_machine_left_is_taken_over(phantom: Path, tmp_path: Path) -> None:
    note = {"pid": os.getpid(), "host": "node7", "boot": "1", "started": "2026-11-01 10:00:00", "command": "fewlabel"}
    for place in ("eval", "models"):
        (tmp_path / place).mkdir()
        lock = tmp_path / place / LOCK_FILE
        lock.write_text(json.dumps(note))
        os.utime(lock, (1, 1))
    ended = run("fewlabel", *training(phantom, tmp_path)).ended_well()
    assert f"{tmp_path / 'eval'}: taken over from a run that ended without a word: process" in ended.output
    assert leftovers(tmp_path) == []


def test_what_a_killed_preparation_left_goes_at_the_next_and_a_living_one_stays(phantom: Path, tmp_path: Path) -> None:
    words = [
        "prepare",
        "folders",
        *(str(phantom / f"{kind}Tr") for kind in ("images", "labels")),
        str(tmp_path / "out"),
    ]
    run("fewlabel", *words, plant=plant(kill_in_save, "dataset.json")).was_killed()
    [dead] = tmp_path.glob(".out.*.partial")
    with start("fewlabel", *words, plant=plant(wait_in_a_save, str(tmp_path / "go on"))) as living:
        living.wait_until(lambda: len(list(tmp_path.glob(".out.*.partial"))) == 1 and not dead.exists())
        [partial] = tmp_path.glob(".out.*.partial")
        living.wait_until(lambda: any(partial.glob(".dataset.json.*")))
        run("fewlabel", *words, plant=plant(kill_in_save, "dataset.json")).was_killed()
        assert partial.is_dir()
        (tmp_path / "go on").touch()
        living.end().ended_well()
    run("fewlabel", "check", str(tmp_path / "out")).ended_well()
    shutil.rmtree(tmp_path / "out")
    run("fewlabel", *words).ended_well()
    assert leftovers(tmp_path) == []


def wait_in_a_save(go_on: str) -> None:
    """Plant: let no file be finished before another is there."""
    import time

    real = os.fsync

    def fsync(descriptor: int) -> None:
        while not Path(go_on).exists():
            time.sleep(0.05)
        real(descriptor)

    os.fsync = fsync


@pytest.mark.parametrize("damage", ["truncated", "zeroed"])
def test_a_damaged_cache_is_made_again_and_the_training_ends_the_same(
    phantom: Path, trained_once: Path, tmp_path: Path, damage: str
) -> None:
    shutil.copytree(trained_once / "eval" / "cache", tmp_path / "eval" / "cache")
    file = sorted((tmp_path / "eval" / "cache").glob("*_label.npy"))[0]
    whole = file.read_bytes()
    if damage == "truncated":
        cut_short(file)
    else:
        np.load(file, mmap_mode="r+")[:] = 0
    ended = run("fewlabel", *training(phantom, tmp_path)).ended_well()
    assert ended.output.count("damaged or changed since it was written; preprocessing") == 1
    assert f"{file}: damaged" in ended.output
    assert file.read_bytes() == whole
    ends_as_if_nothing_had_happened(tmp_path, trained_once)


@pytest.mark.parametrize(("number", "workers"), [(signal.SIGINT, 1), (signal.SIGTERM, 1), (signal.SIGINT, 0)])
def test_a_training_that_is_stopped_says_in_one_sentence_how_it_goes_on(
    phantom: Path, trained_once: Path, tmp_path: Path, number: signal.Signals, workers: int
) -> None:
    words = training(phantom, tmp_path)
    words[words.index("--num_workers") + 1] = str(workers)
    saved = tmp_path / "models" / "training_state.pt"
    with start("fewlabel", *words, plant=plant(wait_at_call, "fewlabel.methods:Supervised", "forward", 3)) as running:
        running.wait_until(lambda: saved.exists() and "waiting" in running.so_far().output)
        running.signal(number)
        ended = running.end()
    assert ended.code == 128 + number, ended.text
    assert "Traceback" not in ended.errors, ended.text
    cause = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}[number]
    next_step = "the same command with --resume true continues after epoch 1 of 2"
    assert f"fewlabel: stopped by {cause}; {next_step}, from {saved}" in ended.errors.splitlines(), ended.text
    assert leftovers(tmp_path) == []
    run("fewlabel", *words, "--resume", "true").ended_well()
    ends_as_if_nothing_had_happened(tmp_path, trained_once)


def test_a_segmentation_that_is_stopped_sums_up_and_the_same_command_goes_on(
    phantom: Path, trained: Callable[[], Path]
) -> None:
    folder = trained()
    words = segmentation(phantom / "imagesTr", folder)
    with start(
        "fewlabel", *words, plant=plant(wait_at_call, "fewlabel.transforms:LoadCased", "__call__", 2)
    ) as running:
        running.wait_until("waiting")
        running.signal(signal.SIGTERM)
        ended = running.end()
    assert ended.code == 143, ended.text
    assert "Traceback" not in ended.errors, ended.text
    assert "finished cases stay finished; the same command does what is left" in ended.errors
    assert leftovers(folder / "segmentations") == []
    again = run("fewlabel", *words).ended_well()
    assert "skipped" in again.output


@pytest.mark.parametrize(
    ("command", "number"),
    [
        ("check", signal.SIGINT),
        ("plan", signal.SIGTERM),
        ("prepare", signal.SIGINT),
        ("prepare", signal.SIGTERM),
        ("evaluate", signal.SIGINT),
    ],
)
def test_other_commands_stop_with_a_sentence_and_leave_nothing_half_written(
    phantom: Path, trained: Callable[[], Path], tmp_path: Path, command: str, number: signal.Signals
) -> None:
    words = {
        "check": lambda: ["check", str(phantom)],
        "plan": lambda: ["plan", str(phantom), "--out", str(tmp_path / "plan.json")],
        "prepare": lambda: [
            "prepare", "folders", str(phantom / "imagesTr"), str(phantom / "labelsTr"), str(tmp_path / "out"),
            "--mapping", "0:0,1:1,2:2,3:3",
        ],
        "evaluate": lambda: evaluation(phantom, trained()),
    }[command]()  # fmt: skip
    with start("fewlabel", *words, plant=plant(wait_in_a_read)) as running:
        running.wait_until("waiting")
        running.signal(number)
        ended = running.end()
    assert ended.code == 128 + number, ended.text
    assert "Traceback" not in ended.errors, ended.text
    assert "fewlabel: stopped by " in ended.errors
    assert leftovers(tmp_path) == []
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "plan.json").exists()


def wait_in_a_read() -> None:
    """Plant: say so and wait when the voxels of a scan are read."""
    import time

    import nibabel.arrayproxy

    def wait(*_: object, **__: object) -> None:
        print("waiting", flush=True)
        time.sleep(600)

    nibabel.arrayproxy.ArrayProxy.__array__ = wait
    nibabel.arrayproxy.ArrayProxy.__getitem__ = wait
    nibabel.arrayproxy.ArrayProxy.get_unscaled = wait
