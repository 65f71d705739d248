from __future__ import annotations

import json
from pathlib import Path

import pytest

import fewlabel
from fewlabel.launch.folders import INSTALLED

Bundles = dict[str, Path]


def make_bundle(folder: Path) -> Path:
    """A bundle of empty configs, which nothing here runs."""
    (folder / "configs").mkdir(parents=True)
    (folder / "docs").mkdir()
    (folder / "LICENSE").write_text("license")
    (folder / "docs" / "README.md").write_text("readme")
    (folder / "configs" / "metadata.json").write_text(json.dumps({"name": folder.name}))
    for name in ("train", "evaluate", "inference", "small", "multi_gpu_train"):
        (folder / "configs" / f"{name}.json").write_text("{}")
    return folder


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with the bundles one and two; the working directory is an empty one elsewhere."""
    root, elsewhere = tmp_path / "checkout", tmp_path / "elsewhere"
    (root / "shared" / "fewlabel").mkdir(parents=True)
    elsewhere.mkdir()
    for name in ("one", "two"):
        make_bundle(root / "bundles" / name)
    monkeypatch.setattr(fewlabel, "__file__", str(root / "shared" / "fewlabel" / "__init__.py"))
    monkeypatch.chdir(elsewhere)
    return root


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package's folder, with the bundles one and two in it; the working directory is elsewhere."""
    package, elsewhere = tmp_path / "site-packages" / "fewlabel", tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("one", "two"):
        make_bundle(package / INSTALLED / name)
    monkeypatch.setattr(fewlabel, "__file__", str(package / "__init__.py"))
    monkeypatch.chdir(elsewhere)
    return package
