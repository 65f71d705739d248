"""A bundle of one small network, made up for the tests of packing."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import torch

from fewlabel.networks import UNet


def metadata(folder: Path, **changes: object) -> None:
    (folder / "configs" / "metadata.json").write_text(json.dumps({"name": "tiny", "version": "1.2.3", **changes}))


def small_unet(num_classes: int = 4) -> UNet:
    return UNet(num_classes=num_classes, channels=(4, 4, 4, 4, 4))


def write_bundle(parent: Path) -> Path:
    """Write a bundle without weights into a folder."""
    folder = parent / "tiny"
    (folder / "configs").mkdir(parents=True)
    (folder / "docs").mkdir()
    metadata(folder)
    network = {"_target_": "fewlabel.networks.UNet", "num_classes": 4, "channels": [4, 4, 4, 4, 4]}
    (folder / "configs" / "inference.json").write_text(json.dumps({"bundle_root": "nowhere", "network_def": network}))
    (folder / "docs" / "README.md").write_text("# Tiny")
    (folder / "LICENSE").write_text("free")
    return folder


def add_weights(folder: Path, content: object, file: str = "model.pt") -> None:
    (folder / "models").mkdir(exist_ok=True)
    torch.save(content, folder / "models" / file)


def entries(archive: Path) -> list[str]:
    with zipfile.ZipFile(archive) as packed:
        assert packed.testzip() is None
        return packed.namelist()
