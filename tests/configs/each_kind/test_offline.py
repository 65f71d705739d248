from __future__ import annotations

import socket
from pathlib import Path
from typing import NoReturn

import pytest

from fewlabel.bundle import export_bundle, pack_bundle
from helpers.bundle_runs import places, run, tiny
from helpers.bundles import BASELINES
from helpers.paths import ROOT

BUNDLE = BASELINES["slices"]


@pytest.fixture
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> NoReturn:
        raise AssertionError(f"a connection was tried: {arguments[1:]}")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    for name in ("getaddrinfo", "gethostbyname", "create_connection"):
        monkeypatch.setattr(socket, name, refuse)


@pytest.mark.usefixtures("_no_network")
def test_training_evaluation_inference_export_and_packing_open_no_connection(phantom: Path, tmp_path: Path) -> None:
    own = places(tmp_path)
    settings = tiny(BUNDLE, steps=2, steps_per_epoch=1)
    run(BUNDLE, "train", dataset_dir=str(phantom), **own, **settings)
    run(BUNDLE, "train", "evaluate", dataset_dir=str(phantom), **own, **settings)
    checkpoint = tmp_path / "models" / "model.pt"
    run(
        BUNDLE, "inference",
        dataset_dir=str(phantom), checkpoint=str(checkpoint), output_dir=str(tmp_path / "segmentations"),
    )  # fmt: skip
    export_bundle(ROOT / "bundles" / BUNDLE, "onnx", tmp_path / "model.onnx", checkpoint=checkpoint)
    archive = pack_bundle(ROOT / "bundles" / BUNDLE, tmp_path / "dist", weights=False)
    assert archive.is_file()
    assert (tmp_path / "eval" / "report.html").is_file()
    assert len(list((tmp_path / "segmentations").glob("*.nii.gz"))) == 1
