"""Faults of a run's numbers and of what it goes on with: nan in loss and gradient, other settings, changed labels."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from helpers.faults import contents, evaluation, plant, run, segmentation, training

pytestmark = pytest.mark.slow


def nan_from_step(what: str, number: int) -> None:
    """Plant: from a step on the loss, or the gradient of all parameters behind a finite loss, is nan."""
    from fewlabel.engines import SemiSupervisedTrainer

    real, steps = SemiSupervisedTrainer._total, []

    def total(self: SemiSupervisedTrainer, terms: dict[str, torch.Tensor], progress: float) -> torch.Tensor:
        steps.append(progress)
        if len(steps) >= number and what == "loss":
            terms["supervised"] = terms["supervised"] * float("nan")
        loss = real(self, terms, progress)
        if len(steps) >= number and what == "gradient":
            loss.register_hook(lambda gradient: gradient * float("nan"))
        return loss

    SemiSupervisedTrainer._total = total  # type: ignore[method-assign]


@pytest.mark.parametrize(("what", "said"), [("loss", "loss term supervised"), ("gradient", "the gradient of")])
def test_nan_in_the_second_epoch_ends_the_run_and_the_first_epoch_is_still_there(
    phantom: Path, tmp_path: Path, what: str, said: str
) -> None:
    words = training(phantom, tmp_path)
    run("fewlabel", *words, plant=plant(nan_from_step, what, 4)).says(said, "epoch 2, step 4", "no weight was changed")
    state = torch.load(tmp_path / "models" / "training_state.pt", weights_only=True)
    assert state["epoch"] == 1
    assert all(bool(value.isfinite().all()) for value in state["method"].values())
    run("fewlabel", *words, "--resume", "true").ended_well()


def test_a_changed_label_map_is_noticed_and_a_dataset_that_moved_is_the_same(
    trained: Callable[[], Path], data: Path, tmp_path: Path
) -> None:
    folder = trained()
    run("fewlabel", *training(data, folder, "--resume", "true")).ended_well()  # the phantom, at another path
    before = contents(folder / "models")
    for file in sorted((data / "labelsTr").iterdir()):
        image = nib.load(file)
        voxels = np.asarray(image.dataobj).copy()
        voxels[voxels == 1] = 2
        nib.save(nib.Nifti1Image(voxels, image.affine, image.header), file)
    words = training(data, folder, "--resume", "true")
    run("fewlabel", *words).says("labels of labeled cases with other content", "--resume_changed true")
    assert contents(folder / "models") == before
    run("fewlabel", *words, "--resume_changed", "true").ended_well()


def test_another_learning_rate_is_refused_by_name(trained: Callable[[], Path], phantom: Path) -> None:
    folder = trained()
    words = training(phantom, folder, "--resume", "true", lr_network=0.5)
    run("fewlabel", *words).says("settings.lr_network", "now 0.5")


def test_bad_settings_leave_the_state_of_an_earlier_run_where_it_is(trained: Callable[[], Path], phantom: Path) -> None:
    folder = trained()
    before = contents(folder / "models")
    run("fewlabel", *training(phantom, folder, "--paper#norm", "no_norm")).says("no_norm")
    assert contents(folder / "models") == before


def test_weights_that_are_not_finite_are_refused_by_evaluation_and_segmentation(
    trained: Callable[[], Path], phantom: Path
) -> None:
    folder = trained()
    for name in ("model.pt", "model_last.pt"):
        weights = torch.load(folder / "models" / name, weights_only=True)
        first = next(iter(weights))
        weights[first].fill_(float("nan"))
        torch.save(weights, folder / "models" / name)
    run("fewlabel", *evaluation(phantom, folder)).says("model.pt", first, "is not finite")
    run("fewlabel", *segmentation(phantom / "imagesTr", folder)).says("model.pt", first, "is not finite")
    assert not list((folder / "segmentations").glob("*.nii.gz"))


def test_fresh_starts_keep_every_state(trained: Callable[[], Path], phantom: Path) -> None:
    folder = trained()
    for number in (1, 2):
        run("fewlabel", *training(phantom, folder, "--seed", str(number))).ended_well()
    assert len(list((folder / "models").glob("training_state.pt*"))) == 3
    shutil.rmtree(folder)
