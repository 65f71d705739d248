"""What batch normalization does to a U-Net that sees labeled and unlabeled slices: train it, and score it three ways.

Only the labeled slices' loss is applied; the unlabeled ones pass through the network and leave their statistics
behind, as they do in cross teaching at weight 0. The row says how the network then scores on the validation cases in
evaluation mode, with each volume's own batch statistics instead, and with running statistics estimated anew over 30
batches without dropout.

    python tests/benchmarks/normalization.py --data /data/acdc --norm batch --passes joint
"""

from __future__ import annotations

import argparse
import copy
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import torch
from monai.transforms import Compose, LoadImaged, Resized, ScaleIntensityd
from monai.utils import set_determinism
from torch import Tensor, nn

from fewlabel.data import Cohort, SliceDataset, TwoStreamLoader
from fewlabel.data.phantoms.cohort import write_phantom
from fewlabel.engines import PolynomialWarmup
from fewlabel.losses import supervised_loss
from fewlabel.networks import UNet
from fewlabel.transforms import SliceAugmentationd

Volumes = list[tuple[Tensor, Tensor]]


def main() -> None:
    """Train once and print the row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="a dataset's folder, see docs/data.md; a phantom by default")
    parser.add_argument("--norm", default="batch", choices=("batch", "instance", "group"))
    parser.add_argument("--passes", default="joint", choices=("joint", "separate", "labeled only"))
    parser.add_argument("--labeled-cases", type=int, default=3)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--steps", type=int, default=240)
    parser.add_argument("--batch", type=int, default=2, help="labeled slices per step, and as many unlabeled ones")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    set_determinism(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        options.data = options.data or write_phantom(f"{folder}/phantom")
        batches, volumes = read(options)
    started = time.perf_counter()
    network = train(options, batches)
    scores = {"evaluation mode": dice(network.eval(), volumes)}
    if options.norm == "batch":
        scores["statistics of the volume"] = dice(with_batch_statistics(network), volumes)
        scores["statistics anew"] = dice(with_new_statistics(network, batches), volumes)
    row = ", ".join(f"{name} {value:.3f}" for name, value in scores.items())
    print(f"norm {options.norm}, passes {options.passes}: {row}, {time.perf_counter() - started:.0f} s")


def read(options: argparse.Namespace) -> tuple[Iterator[Any], Volumes]:
    """Return the training batches and the resized validation volumes."""
    cohort = Cohort(options.data, options.labeled_cases)
    load = LoadImaged(["image", "label"], ensure_channel_first=True, allow_missing_keys=True)
    scaled = Compose([load, ScaleIntensityd("image")])
    augment = SliceAugmentationd([options.size] * 2)
    labeled = SliceDataset(cohort.labeled, scaled, augment)
    unlabeled = SliceDataset(cohort.unlabeled, scaled, augment, keys=["image"])
    resize = Compose([Resized(["image", "label"], [options.size] * 2, mode=["bilinear", "nearest"])])
    validation = SliceDataset(cohort.validation, scaled, resize)
    slices: dict[int, list[dict[str, Any]]] = {}
    for position, (volume, _) in enumerate(validation.index):
        slices.setdefault(volume, []).append(validation[position])
    stacked = [
        tuple(torch.stack([item[key].as_tensor() for item in items]) for key in ("image", "label"))
        for items in slices.values()
    ]
    batches = iter(TwoStreamLoader(labeled, unlabeled, options.batch, options.batch, 100, seed=options.seed))
    return batches, stacked  # type: ignore[return-value]


def train(options: argparse.Namespace, batches: Iterator[Any]) -> UNet:
    """Return the U-Net after the steps."""
    network, loss = UNet(norm=options.norm), supervised_loss()
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=5e-4)
    schedule = PolynomialWarmup(optimizer, options.steps)
    for _ in range(options.steps):
        batch = next(batches)
        images, others = batch["labeled"]["image"], batch["unlabeled"]["image"]
        if options.passes == "joint":
            logits = network(torch.cat([images, others]))[: len(images)]
        else:
            logits = network(images)
            if options.passes == "separate":
                network(others)
        optimizer.zero_grad()
        loss(logits, batch["labeled"]["label"]).backward()
        optimizer.step()
        schedule.step()
    return network


@torch.no_grad()
def dice(network: nn.Module, volumes: Volumes) -> float:
    """Return the mean Dice over foreground classes and volumes, at the network's resolution."""
    scores = []
    for images, labels in volumes:
        predicted = network(images).argmax(dim=1, keepdim=True)
        for value in (1, 2, 3):
            ours, theirs = predicted == value, labels == value
            scores.append(2 * int((ours & theirs).sum()) / max(int(ours.sum() + theirs.sum()), 1))
    return sum(scores) / len(scores)


def with_batch_statistics(network: nn.Module) -> nn.Module:
    """Return a copy that normalizes by the batch it sees, without dropout."""
    changed = copy.deepcopy(network).eval()
    for module in changed.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train()
    return changed


@torch.no_grad()
def with_new_statistics(network: nn.Module, batches: Iterator[Any]) -> nn.Module:
    """Return a copy whose running statistics are plain averages over 30 batches, without dropout."""
    changed = with_batch_statistics(network)
    for module in changed.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
    for _ in range(30):
        batch = next(batches)
        changed(torch.cat([batch["labeled"]["image"], batch["unlabeled"]["image"]]))
    return changed.eval()


if __name__ == "__main__":
    main()
