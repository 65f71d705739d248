"""Our app, on left atria: the unlabeled studies train, are scored, and the most doubtful one comes next."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from helpers.label_zips import unzip, weigh
from helpers.paths import ROOT
from helpers.serving import Server, assert_same, bundle_run, serving

APP = ROOT / "shared" / "label_app"


@pytest.fixture(scope="module")
def bundles(atrium_zips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`mcsc` and `supervised` with weights, `cts` without any."""
    folder = unzip(atrium_zips, tmp_path_factory.mktemp("served"))
    untrained = shutil.ignore_patterns("models", "eval")
    shutil.copytree(ROOT / "bundles" / "cts", folder / "cts", ignore=untrained)
    return folder


@pytest.fixture(scope="module")
def studies(atrium: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hospital") / "studies"
    shutil.copytree(atrium / "images", folder)
    return folder


@pytest.fixture(scope="module")
def names(atrium: Path) -> list[str]:
    return sorted(path.stem for path in (atrium / "images").iterdir())


@pytest.fixture(scope="module")
def server(bundles: Path, studies: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    app = tmp_path_factory.mktemp("app") / "label_app"
    shutil.copytree(APP, app, ignore=shutil.ignore_patterns("model", "logs", "bin", "__pycache__"))
    with serving(app, studies, {"bundles_dir": str(bundles)}, ROOT / "shared") as running:
        yield running


def quality(server: Server, study: str) -> float:
    score: float = server.get(f"/datastore/image/info?image={study}")["mcsc_quality"]
    return score


def test_it_starts_without_the_internet_and_lists_what_each_bundle_can_do(server: Server) -> None:
    info = server.get("/info/")
    assert set(info["models"]) == {"mcsc", "supervised"}
    assert set(info["trainers"]) == {"cts", "mcsc", "supervised"}
    assert set(info["scoring"]) == {"cts_quality", "mcsc_quality"}
    assert set(info["strategies"]) == {"cts_quality", "mcsc_quality", "first", "random"}
    assert info["models"]["mcsc"]["dimension"] == 3
    assert info["models"]["mcsc"]["config"]["model_filename"] == ["model.pt"]
    assert "supervised trains one network alone: no predicted quality" in server.log


def test_settings_that_a_request_may_set_are_those_the_weights_were_trained_with(server: Server) -> None:
    trainers = server.get("/info/")["trainers"]
    assert (trainers["mcsc"]["config"]["steps_per_epoch"], trainers["cts"]["config"]["steps_per_epoch"]) == (2, 200)
    assert "size" not in trainers["mcsc"]["config"]


def test_classes_that_viewers_would_name_wrongly_are_told_in_the_log(server: Server) -> None:
    assert "the weights tell 2 classes apart, but clients will see the labels" in server.log


def test_two_bundles_keep_their_own_networks_and_segment_as_monai_bundle_does(
    server: Server, bundles: Path, studies: Path, names: list[str], tmp_path: Path
) -> None:
    scan = studies / f"{names[0]}.nii"
    found = {}
    for bundle in ("mcsc", "supervised"):
        (tmp_path / bundle).mkdir()
        found[bundle] = server.segment(bundle, names[0], tmp_path)
        assert_same(found[bundle], bundle_run(bundles / bundle, scan, tmp_path / bundle))
        assert found[bundle].shape == nib.load(scan).shape == (183, 140, 88)
        assert np.allclose(found[bundle].affine, nib.load(scan).affine, atol=1e-5)
    assert not np.array_equal(found["mcsc"].dataobj, found["supervised"].dataobj)


@pytest.mark.parametrize(
    ("verb", "place", "code", "told"),
    [
        ("POST", "/infer/cts?image={0}&output=image", 409, "cts has no models/model.pt yet: train it"),
        ("POST", "/infer/mcsc?image=nobody&output=image", 404, "there is no study called 'nobody'"),
        ("POST", "/infer/unet?image={0}&output=image", 400, "There is no model 'unet' available"),
        ("POST", "/train/mcsc?run_sync=true", 400, "no study has a final label yet"),
        ("POST", "/scoring/supervised_quality?run_sync=true", 400, "There is no such scoring method"),
        ("POST", "/activelearning/supervised_quality", 400, "no such strategy"),
    ],
)
def test_what_cannot_be_done_is_told_to_the_client(
    server: Server, names: list[str], verb: str, place: str, code: int, told: str
) -> None:
    answer = server.ask(verb, place.format(*names))
    assert answer.status_code == code
    assert told in answer.json()["detail"]


def test_a_bundle_without_weights_scores_nothing_and_says_why(server: Server) -> None:
    summary = server.post("/scoring/cts_quality?run_sync=true")
    assert summary["scored"] == 0
    assert "cts has no models/model.pt and no models/model_second.pt: train it first" in summary["reason"]


def test_unscored_studies_are_offered_in_the_order_of_their_names(server: Server, names: list[str]) -> None:
    assert server.post("/activelearning/cts_quality")["id"] == names[0]


def test_unlabeled_studies_train_are_scored_and_the_most_doubtful_one_comes_next(
    server: Server, bundles: Path, atrium: Path, names: list[str], tmp_path: Path
) -> None:
    assert server.post("/scoring/mcsc_quality?run_sync=true")["scored"] == 3
    assert server.post("/scoring/mcsc_quality?run_sync=true") == {"total": 3, "scored": 0, "skipped": 3, "failed": {}}
    scores = {name: quality(server, name) for name in names}
    assert all(0 <= score <= 1 for score in scores.values())
    chosen = min(names, key=lambda name: (scores[name], name))
    assert server.post("/activelearning/mcsc_quality")["id"] == chosen

    before = server.segment("mcsc", names[1], tmp_path)
    models = bundles / "mcsc" / "models"
    old = {file: (models / file).read_bytes() for file in ("model.pt", "model_second.pt")}
    server.submit(chosen, atrium / "labels" / f"{chosen}.nii")
    task = server.train("mcsc", {"max_epochs": 1, "steps_per_epoch": 3, "val_split": 0})
    assert task["status"] == "DONE", server.log[-5000:]
    assert "mcsc: 1 labeled and 2 unlabeled studies" in server.log
    assert "training on 1 labeled volumes (88 slices) and 2 unlabeled ones (176 slices)" in server.log
    assert server.log.count("going on from") == 2
    assert "step 3/3" in server.log
    assert all((models / file).read_bytes() != content for file, content in old.items())
    note = {"size": 64, "norm": "instance", "num_classes": 2, "in_channels": 1, "slice_axis": "auto", "embed_dim": 96}
    note["intensity"] = {"mode": "minmax", "low": None, "high": None}
    assert json.loads((models / "model.json").read_text()) == note
    assert not np.array_equal(server.segment("mcsc", names[1], tmp_path).dataobj, before.dataobj)

    rest = [name for name in names if name != chosen]
    assert server.post("/scoring/mcsc_quality?run_sync=true") == {"total": 2, "scored": 2, "skipped": 0, "failed": {}}
    scores = {name: quality(server, name) for name in rest}
    assert server.post("/activelearning/mcsc_quality")["id"] == min(rest, key=lambda name: (scores[name], name))


@pytest.fixture
def trained_cts(bundles: Path) -> None:
    """Give `cts` weights, as a training would; its CNN is built as that of `mcsc`, and gets the same."""
    if not (bundles / "cts" / "models").exists():
        weigh(bundles / "cts", 2, seed=2)
        shutil.copy(bundles / "mcsc" / "models" / "model.pt", bundles / "cts" / "models")


def test_a_bundle_that_was_trained_since_the_start_segments(
    server: Server, trained_cts: None, names: list[str], tmp_path: Path
) -> None:
    assert_same(server.segment("cts", names[0], tmp_path), server.segment("mcsc", names[0], tmp_path))


def test_weights_that_do_not_fit_are_refused_with_the_reason(server: Server, bundles: Path, names: list[str]) -> None:
    note = bundles / "supervised" / "models" / "model.json"
    note.write_text(note.read_text().replace('"num_classes": 2', '"num_classes": 3'))
    answer = server.ask("POST", f"/infer/supervised?image={names[0]}&output=image")
    assert answer.status_code == 400
    assert "model.pt: these weights belong to another architecture than UNet" in answer.json()["detail"]


def test_a_damaged_study_is_named_and_the_others_are_scored(
    server: Server, studies: Path, trained_cts: None, names: list[str]
) -> None:
    labeled = {path.stem for path in (studies / "labels" / "final").iterdir()}
    unlabeled = [name for name in names if name not in labeled]
    damaged = studies / f"{unlabeled[-1]}.nii"
    damaged.write_bytes(damaged.read_bytes()[:100_000])
    told = f"{damaged.name} is truncated or corrupt: copy it again"
    answer = server.ask("POST", f"/infer/mcsc?image={damaged.stem}&output=image")
    assert answer.status_code == 400
    assert told in answer.json()["detail"]
    summary = server.post("/scoring/cts_quality?run_sync=true")
    assert summary["scored"] == len(unlabeled) - 1
    assert list(summary["failed"]) == [damaged.stem]
    assert told in summary["failed"][damaged.stem]
