"""Run by `make test-label`, in an environment with MONAI Label; anywhere else there is nothing to collect."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

collect_ignore_glob = [] if importlib.util.find_spec("monailabel") else ["test_*.py"]

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "docs"))  # for the reader of documented commands
SERVED = ("mcsc", "supervised")  # what most tests work with


@pytest.fixture(scope="session")
def atrium(real_atria: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three left atria: `images` and `labels`, of equal names."""
    folder = tmp_path_factory.mktemp("atrium")
    for kind in ("images", "labels"):
        (folder / kind).mkdir()
        for file in sorted((real_atria / kind).iterdir())[:3]:
            shutil.copy(file, folder / kind)
    return folder


def weigh(bundle: Path, num_classes: int, seed: int) -> None:
    """Write weights as a demo of a few steps would leave them: small ones, both students if the method has two."""
    import torch
    from monai.bundle import ConfigParser

    inference, train = (
        json.loads((bundle / "configs" / f"{name}.json").read_text()) for name in ("inference", "train")
    )
    settings = {**train["demo"], "num_classes": num_classes}
    note = {key: settings[key] for key in inference["trained"] if key in settings}
    parser = ConfigParser({**inference, "bundle_root": str(bundle), "uncertainty": True, "trained": note})
    for student in ("network_def", "second_network_def"):
        if parser[student] and "text" in train["demo"]:
            parser[student]["text"] = train["demo"]["text"]
    torch.manual_seed(seed)
    files = {"network_def": "model.pt", "second_network_def": "model_second.pt"}
    if inference["second_checkpoint"] == "@checkpoint" or not inference["second_network_def"]:
        del files["second_network_def"]
    (bundle / "models").mkdir()
    for student, file in files.items():
        torch.save(parser.get_parsed_content(student).state_dict(), bundle / "models" / file)
    (bundle / "models" / "model.json").write_text(json.dumps(note))


def packed(names: Sequence[str], num_classes: int, folder: Path) -> Path:
    """Pack bundles with weights of their own into a folder of zips."""
    from fewlabel.bundle.packing.pack import pack_bundle

    for seed, name in enumerate(names):
        bundle = folder / name
        shutil.copytree(ROOT / "bundles" / name, bundle, ignore=shutil.ignore_patterns("models", "eval"))
        weigh(bundle, num_classes, seed)
        train = json.loads((bundle / "configs" / "train.json").read_text())
        train["num_classes"], train["demo"]["steps_per_epoch"] = num_classes, 2
        (bundle / "configs" / "train.json").write_text(json.dumps(train))
        pack_bundle(bundle, folder / "dist")
    return folder / "dist"


@pytest.fixture(scope="session")
def cardiac_zips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundles of four classes, packed."""
    return packed(SERVED, 4, tmp_path_factory.mktemp("cardiac"))


@pytest.fixture(scope="session")
def atrium_zips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundles of two classes, packed."""
    return packed(SERVED, 2, tmp_path_factory.mktemp("atrial"))


def unzip(zips: Path, folder: Path) -> Path:
    for archive in zips.glob("*.zip"):
        zipfile.ZipFile(archive).extractall(folder)
    return folder


@pytest.fixture(scope="session")
def stock_app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The app `monaibundle`, as the installed package copies it."""
    from serving import monailabel

    folder = tmp_path_factory.mktemp("apps")
    monailabel("apps", "--download", "--name", "monaibundle", "--output", str(folder))
    return folder / "monaibundle"
