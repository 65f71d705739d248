"""Bundles of each form and network in both apps, on left atria: trained, they segment as `monai.bundle` does."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.bundles import FORMS, NETWORKS
from helpers.label_zips import packed, unzip
from helpers.paths import ROOT
from helpers.serving import Server, assert_same, bundle_run, serving

SERVED = sorted({*FORMS, *NETWORKS, "mc_net", "mcsc_v2"})


@pytest.fixture(scope="module")
def zips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packed(SERVED, 2, tmp_path_factory.mktemp("all"))


@pytest.fixture(scope="module")
def names(atrium: Path) -> list[str]:
    return sorted(path.stem for path in (atrium / "images").iterdir())


@pytest.fixture(scope="module", params=["own", "stock"])
def app(request: pytest.FixtureRequest, stock_app: Path, zips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An app with the bundles in its folder `model`."""
    source = ROOT / "shared" / "label_app" if request.param == "own" else stock_app
    copy = tmp_path_factory.mktemp(request.param) / "app"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("model", "logs", "__pycache__"))
    unzip(zips, copy / "model")
    return copy


def is_ours(app: Path) -> bool:
    return (app / "lib" / "scoring.py").is_file()


@pytest.fixture(scope="module")
def server(app: Path, atrium: Path, names: list[str]) -> Iterator[Server]:
    """Three studies, one of them labeled."""
    shutil.copytree(atrium / "images", app.parent / "studies")
    conf = {} if is_ours(app) else {"models": ",".join(SERVED), "zoo_source": "ngc", "sam2": "false"}
    with serving(app, app.parent / "studies", conf, *([ROOT / "shared"] if is_ours(app) else [])) as running:
        running.submit(names[0], atrium / "labels" / f"{names[0]}.nii")
        yield running


@pytest.mark.parametrize("bundle", SERVED)
def test_a_bundle_is_trained_and_segments_with_its_new_weights_as_monai_bundle_does(
    bundle: str, server: Server, app: Path, names: list[str], tmp_path: Path
) -> None:
    server.segment(bundle, names[1], tmp_path)  # the old weights are in use now
    weights = app / "model" / bundle / "models" / "model.pt"
    old = weights.read_bytes()
    task = server.train(bundle, {"max_epochs": 1, "val_split": 0})
    assert task["status"] == "DONE", server.log[-5000:]
    assert weights.read_bytes() != old
    expected = bundle_run(app / "model" / bundle, app.parent / "studies" / f"{names[1]}.nii", tmp_path)
    assert_same(server.segment(bundle, names[1], tmp_path), expected)


def test_two_decoders_of_one_network_score_studies_as_two_networks_do(server: Server, app: Path) -> None:
    if not is_ours(app):
        assert server.get("/info/")["scoring"].keys().isdisjoint({"mc_net_quality", "mcsc_v2_quality"})
        return
    for bundle in ("mc_net", "mcsc_v2"):
        summary = server.post(f"/scoring/{bundle}_quality?run_sync=true")
        assert summary == {"total": 2, "scored": 2, "skipped": 0, "failed": {}}


def test_what_the_weights_fix_is_nothing_that_a_request_may_set(server: Server, app: Path) -> None:
    if not is_ours(app):
        pytest.skip("the stock app offers no settings of the method")
    options = server.get("/info/")["trainers"]["vnet"]["config"]
    assert options["labeled_batch_size"] == 2
    assert {"channels", "spacing", "size", "steps"}.isdisjoint(options)
