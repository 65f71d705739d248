"""Scans of several channels whose label maps leave voxels out: bundles train on them, score and segment them."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch

from fewlabel.errors import user_facing_cause
from helpers.bundle_runs import places, run, tiny, workflow
from helpers.bundles import ONE_OF_EACH_KIND


@pytest.fixture
def data(phantom: Path, tmp_path: Path) -> Path:
    """The phantom as two channels in files of their own, with an ignored corner that is called foreground nowhere."""
    root = shutil.copytree(phantom, tmp_path / "data")
    for half in ("Tr", "Ts"):
        for file in sorted((root / f"images{half}").iterdir()):
            image = nib.load(file)
            stem, voxels = file.name.removesuffix(".nii.gz"), np.asarray(image.dataobj)
            for number, channel in enumerate((voxels, 500.0 - voxels)):
                nib.save(
                    nib.Nifti1Image(channel.astype(np.float32), image.affine),
                    file.with_name(f"{stem}_000{number}.nii.gz"),
                )
            file.unlink()
    description = json.loads((root / "dataset.json").read_text())
    ignored = len(description["labels"])
    description["labels"]["ignore"] = ignored
    description["channel_names"] = {"0": "T2", "1": "inverted"}
    (root / "dataset.json").write_text(json.dumps(description))
    for file in root.glob("labels*/*.nii.gz"):
        label = nib.load(file)
        voxels = np.asarray(label.dataobj).copy()
        voxels[: voxels.shape[0] // 3] = ignored
        nib.save(nib.Nifti1Image(voxels, label.affine), file)
    return root


def shown(data: Path, tmp_path: Path) -> Path:
    """Both channels of the test scans, as a person would have them: one case in two files, one along a fourth axis."""
    scans = tmp_path / "scans"
    scans.mkdir()
    first = sorted((data / "imagesTs").iterdir())[:2]
    for file in first:
        shutil.copy(file, scans)
    channels = [nib.load(file) for file in first]
    voxels = np.stack([np.asarray(channel.dataobj) for channel in channels], axis=-1)
    nib.save(nib.Nifti1Image(voxels, channels[0].affine), scans / "whole.nii.gz")
    return scans


@ONE_OF_EACH_KIND
def test_channels_and_classes_follow_from_the_data_from_training_to_inference(
    bundle: str, data: Path, tmp_path: Path
) -> None:
    description = json.loads((data / "dataset.json").read_text())
    made = run(bundle, "train", dataset_dir=str(data), labeled_cases=2, **places(tmp_path), **tiny(bundle))
    network = made.parser.get_parsed_content("network")
    first = next(module for module in network.modules() if isinstance(module, (torch.nn.Conv2d, torch.nn.Conv3d)))
    assert first.in_channels == 2
    note = json.loads((tmp_path / "models" / "model.json").read_text())
    assert (note["in_channels"], note["num_classes"]) == (2, len(description["labels"]) - 1)

    rows = list(csv.DictReader((tmp_path / "eval" / "scores.csv").open()))
    assert {row["class"] for row in rows} == set(description["labels"]) - {"background", "ignore"}
    assert (tmp_path / "eval" / "cases.png").is_file()

    out: dict[str, Any] = {"dataset_dir": str(shown(data, tmp_path)), "output_dir": str(tmp_path / "out")}
    run(bundle, "inference", checkpoint=str(tmp_path / "models" / "model.pt"), device="cpu", **out)
    written = sorted((tmp_path / "out").glob("*.nii.gz"))
    assert [file.name for file in written][-1] == "whole.nii.gz"
    assert len(written) == 2
    maps = [np.asarray(nib.load(file).dataobj) for file in written]
    assert np.array_equal(*maps)


@pytest.mark.parametrize("bundle", ["supervised"])
def test_a_hand_set_number_of_channels_that_differs_is_an_error(bundle: str, data: Path, tmp_path: Path) -> None:
    made = workflow(bundle, "train", dataset_dir=str(data), in_channels=3, **places(tmp_path), **tiny(bundle))
    with pytest.raises(RuntimeError) as caught:
        made.parser.get_parsed_content("settings")
    cause = str(user_facing_cause(caught.value))
    assert "2 channels (T2, inverted), but the network is built for 3: set --in_channels 2, or leave it out" in cause


@pytest.mark.parametrize("bundle", ["supervised"])
def test_scores_leave_ignored_voxels_out(bundle: str, data: Path, tmp_path: Path) -> None:
    """The segmentation is kept whole, but what it says where nobody annotated changes no score."""
    run(bundle, "train", dataset_dir=str(data), **places(tmp_path), **tiny(bundle))
    scores = (tmp_path / "eval" / "scores.csv").read_text()
    made = workflow(bundle, "train", dataset_dir=str(data), **places(tmp_path), **tiny(bundle))
    evaluator = made.parser.get_parsed_content("validate#evaluator")
    network = evaluator.network
    inferer = evaluator.inferer

    def spoil(inputs: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        logits = inferer(inputs, network)
        logits[:, :, : logits.shape[2] // 3] = 0
        logits[:, 1, : logits.shape[2] // 3] = 100  # foreground everywhere in the ignored part
        return logits

    evaluator.inferer = spoil
    made.parser.get_parsed_content("evaluation").run()
    assert (tmp_path / "eval" / "scores.csv").read_text() == scores
    kept = next((tmp_path / "eval" / "predictions" / "last").glob("*.nii.gz"))
    assert (np.asarray(nib.load(kept).dataobj)[:10] == 1).all()
