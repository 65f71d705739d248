"""The zips of our bundles in the app `monaibundle`, where fewlabel is not installed; on hearts of ACDC."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from helpers.label_zips import unzip
from helpers.serving import Server, assert_same, bundle_run, serving

OFFLINE = {"models": "mcsc,supervised", "zoo_source": "ngc", "sam2": "false"}


@pytest.fixture(scope="module")
def studies(real_acdc: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three hearts."""
    folder = tmp_path_factory.mktemp("hospital") / "studies"
    folder.mkdir()
    for scan in sorted((real_acdc / "imagesTr").iterdir())[:3]:
        shutil.copy(scan, folder)
    return folder


@pytest.fixture(scope="module")
def server(stock_app: Path, cardiac_zips: Path, studies: Path) -> Iterator[Server]:
    unzip(cardiac_zips, stock_app / "model")
    with serving(stock_app, studies, OFFLINE) as running:
        yield running


@pytest.fixture(scope="module")
def names(studies: Path) -> list[str]:
    return sorted(path.name.removesuffix(".nii.gz") for path in studies.glob("*.nii.gz"))


def test_it_starts_without_the_internet_and_lists_both_bundles(server: Server) -> None:
    info = server.get("/info/")
    assert set(info["models"]) == set(info["trainers"]) == {"mcsc", "supervised"}
    assert info["models"]["mcsc"]["labels"] == {"right ventricle": 1, "myocardium": 2, "left ventricle": 3}
    assert info["datastore"]["total"] == 3
    assert "Traceback" not in server.log


def test_the_second_student_is_not_taken_for_the_network(server: Server) -> None:
    assert server.get("/info/")["models"]["mcsc"]["config"]["model_filename"][0] == "model.pt"


def test_two_bundles_keep_their_own_networks_and_segment_as_monai_bundle_does(
    server: Server, stock_app: Path, studies: Path, names: list[str], tmp_path: Path
) -> None:
    scan = studies / f"{names[0]}.nii.gz"
    found = {}
    for bundle in ("mcsc", "supervised"):
        (tmp_path / bundle).mkdir()
        found[bundle] = server.segment(bundle, names[0], tmp_path)
        assert_same(found[bundle], bundle_run(stock_app / "model" / bundle, scan, tmp_path / bundle))
        assert found[bundle].shape == nib.load(scan).shape
    assert not np.array_equal(found["mcsc"].dataobj, found["supervised"].dataobj)


def test_after_a_training_the_new_weights_segment(
    server: Server, stock_app: Path, real_acdc: Path, names: list[str], tmp_path: Path
) -> None:
    before = server.segment("mcsc", names[1], tmp_path)
    weights = stock_app / "model" / "mcsc" / "models" / "model.pt"
    old = weights.read_bytes()
    server.submit(names[0], real_acdc / "labelsTr" / f"{names[0]}.nii.gz")
    assert server.get("/info/")["datastore"]["completed"] == 1
    task = server.train("mcsc", {"max_epochs": 1, "val_split": 0})
    assert task["status"] == "DONE", server.log[-5000:]
    assert "training on 1 labeled volumes" in server.log
    assert weights.read_bytes() != old
    assert not np.array_equal(server.segment("mcsc", names[1], tmp_path).dataobj, before.dataobj)
