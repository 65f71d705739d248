"""Run by `make test-label`, in an environment with MONAI Label; anywhere else there is nothing to collect."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

collect_ignore_glob = [] if importlib.util.find_spec("monailabel") else ["test_*.py"]

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "docs"))  # for the reader of documented commands
SIZE = 64  # of the demos: small enough for a step on one core


@pytest.fixture(scope="session")
def atrium(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three left atria: `images` and `labels`, of equal names."""
    archive = real_data / "la.tar.xz"
    if not archive.is_file():
        pytest.skip(f"no {archive}")
    folder = tmp_path_factory.mktemp("atrium")
    with tarfile.open(archive) as files:
        wanted = sorted(member.name for member in files if "/images/" in f"/{member.name}" and member.isfile())[:3]
    with tarfile.open(archive) as files:
        names = {*wanted, *(name.replace("images/", "labels/") for name in wanted)}
        files.extractall(folder, [member for member in files if member.name in names], filter="data")
    return next(path.parent for path in folder.rglob("images") if path.is_dir())


def weigh(bundle: Path, num_classes: int, seed: int) -> None:
    """Write weights as a training of a few steps would: small ones, both students if the method has two."""
    import torch

    from fewlabel.networks import SwinUnet, UNet

    torch.manual_seed(seed)
    students = {"model.pt": UNet(num_classes=num_classes, norm="instance", xavier_head=True)}
    if peer := json.loads((bundle / "configs" / "inference.json").read_text())["peer_def"]:
        head = peer.get("head_kernel_size", 1)
        students["model_peer.pt"] = SwinUnet(num_classes=num_classes, img_size=SIZE, head_kernel_size=head)
    (bundle / "models").mkdir()
    for file, student in students.items():
        torch.save(student.state_dict(), bundle / "models" / file)
    note = {"size": SIZE, "norm": "instance", "num_classes": num_classes}
    (bundle / "models" / "model.json").write_text(json.dumps(note))


def _packed(num_classes: int, folder: Path) -> Path:
    """Pack `mcsc` and `supervised` with weights of their own into a folder of zips."""
    from fewlabel.bundle.pack import pack_bundle

    for seed, name in enumerate(("mcsc", "supervised")):
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
    return _packed(4, tmp_path_factory.mktemp("cardiac"))


@pytest.fixture(scope="session")
def atrium_zips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundles of two classes, packed."""
    return _packed(2, tmp_path_factory.mktemp("atrial"))


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
