"""Faults of the files that a run left to the next: cut short, emptied, with flipped bits, locked, half segmented."""

from __future__ import annotations

import os
import shutil
import signal
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fewlabel.folder_lock import LOCK_FILE
from helpers.faults import (
    BUNDLE,
    contents,
    cut_short,
    evaluation,
    plant,
    read_only,
    run,
    segmentation,
    small_disk,
    start,
    training,
)
from helpers.paths import ROOT
from helpers.waiting import wait_at_call

pytestmark = pytest.mark.slow


def flip(file: Path, place: int) -> None:
    content = bytearray(file.read_bytes())
    content[place] ^= 16
    file.write_bytes(content)


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_weights_and_states_that_are_cut_short_are_named_and_stay(
    phantom: Path, trained: Callable[[], Path], tmp_path: Path, share: float
) -> None:
    folder = trained()
    model = cut_short(folder / "models" / "model.pt", share)
    state = cut_short(folder / "models" / "training_state.pt", share)
    before = contents(folder / "models")
    for words, file in (
        (training(phantom, folder, "--resume", "true"), state),
        (training(phantom, tmp_path / "new", "--start", str(model)), model),
        (evaluation(phantom, folder), model),
        (segmentation(phantom / "imagesTr", folder), model),
    ):
        run("fewlabel", *words).says(file, "damaged")
    assert contents(folder / "models") == before


def test_weights_that_are_infinite_start_no_training(
    phantom: Path, trained: Callable[[], Path], tmp_path: Path
) -> None:
    file = trained() / "models" / "model.pt"
    weights = torch.load(file, weights_only=True)
    first = next(iter(weights))
    weights[first].view(-1)[0] = float("inf")
    torch.save(weights, file)
    run("fewlabel", *training(phantom, tmp_path / "new", "--start", str(file))).says(file, first, "is not finite")
    assert not list((tmp_path / "new").rglob("*.pt"))


def test_flipped_bits_anywhere_in_the_cache_are_noticed(phantom: Path, trained: Callable[[], Path]) -> None:
    folder = trained()
    before = contents(folder / "eval" / "cache")
    files = sorted((folder / "eval" / "cache").glob("*.npy"))[:3]
    for file, place in zip(files, (10, file_middle(files[1]), -1), strict=True):  # header, voxels, checksum
        flip(file, place)
    ended = run("fewlabel", *training(phantom, folder, "--resume", "true")).ended_well()
    assert ended.output.count("damaged or changed since it was written; preprocessing") == len(files)
    assert contents(folder / "eval" / "cache") == before


def file_middle(file: Path) -> int:
    return file.stat().st_size // 2


def test_a_segmentation_killed_at_its_second_case_goes_on_behind_the_first(
    phantom: Path, trained: Callable[[], Path]
) -> None:
    folder = trained()
    words = segmentation(phantom / "imagesTr", folder)
    run("fewlabel", *words, plant=plant(kill_before_renaming, ".nii.gz", 2)).was_killed()
    ended = run("fewlabel", *words).ended_well()
    assert "skipped    1" in ended.output, ended.text
    assert f"done       {len(list((phantom / 'imagesTr').iterdir())) - 1}" in ended.output, ended.text
    assert not [*folder.rglob(".*.partial"), *folder.rglob(LOCK_FILE)]


def kill_before_renaming(ending: str, number: int) -> None:
    """Plant: die as by kill -9 when the `number`-th file of an ending is whole and about to appear."""
    real, seen = os.replace, []

    def replace(source: str | Path, target: str | Path) -> None:
        if str(target).endswith(ending):
            seen.append(target)
            if len(seen) == number:
                os.kill(os.getpid(), signal.SIGKILL)
        real(source, target)

    os.replace = replace


def test_a_full_disk_below_an_evaluation_is_named(phantom: Path, trained: Callable[[], Path]) -> None:
    folder = trained()
    shutil.rmtree(folder / "eval")
    with small_disk(folder / "eval", 8) as full:
        run("fewlabel", *evaluation(phantom, folder)).says(full, f"not written, it did not fit on {full}, where")
        assert not [*full.rglob(".*.partial"), *full.rglob(LOCK_FILE)]


def test_an_evaluation_only_reads_the_folder_of_weights(phantom: Path, trained: Callable[[], Path]) -> None:
    folder = trained()
    with read_only(folder / "models"):
        run("fewlabel", *evaluation(phantom, folder)).ended_well()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_training_stopped_in_its_first_validation_leaves_no_lock_and_starts_again(
    phantom: Path, tmp_path: Path, number: signal.Signals
) -> None:
    words = training(phantom, tmp_path)
    words[words.index("--num_workers") + 1] = "2"
    with start(
        "fewlabel", *words, plant=plant(wait_at_call, "monai.engines:SupervisedEvaluator", "_iteration", 1)
    ) as running:
        running.wait_until("waiting")
        os.kill(running.process.pid, number)  # to the main process alone, as a scheduler does
        ended = running.end()
    assert ended.code == 128 + number, ended.text
    assert "Traceback" not in ended.errors, ended.text
    assert "no epoch was finished; start the same command again" in ended.errors
    assert not [*tmp_path.rglob(".*.partial"), *tmp_path.rglob(LOCK_FILE)]


def test_locks_and_leftovers_get_into_no_zip_and_no_listing(phantom: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(phantom, tmp_path / "data"))
    bundle = Path(
        shutil.copytree(ROOT / "bundles" / BUNDLE, tmp_path / "bundle", ignore=shutil.ignore_patterns("models", "eval"))
    )
    whole = run("fewlabel", "check", str(data)).ended_well().output
    for folder in (data, data / "imagesTr", data / "labelsTr", bundle, bundle / "configs", bundle / "docs"):
        (folder / LOCK_FILE).write_text("{}")
        (folder / ".model.pt.0123456789ab.partial").write_text("half")
    assert run("fewlabel", "check", str(data)).ended_well().output == whole
    run("fewlabel", "pack", str(bundle), "--out", str(tmp_path / "dist")).ended_well()
    (archive,) = (tmp_path / "dist").iterdir()
    assert not [name for name in zipfile.ZipFile(archive).namelist() if "/." in name]
