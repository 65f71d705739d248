"""Bundles with weights of their own, packed for MONAI Label."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path

from helpers.paths import ROOT


def weigh(bundle: Path, num_classes: int, seed: int) -> None:
    """Write weights as a demo of a few steps would leave them: small ones, both students if the method has two."""
    import torch
    from monai.bundle import ConfigParser

    inference, train = (
        json.loads((bundle / "configs" / f"{name}.json").read_text()) for name in ("inference", "train")
    )
    settings = {**train["demo"], "num_classes": num_classes, "in_channels": 1}
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


def unzip(zips: Path, folder: Path) -> Path:
    for archive in zips.glob("*.zip"):
        zipfile.ZipFile(archive).extractall(folder)
    return folder
