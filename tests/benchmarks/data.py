"""What data cost a training: milliseconds per slice, the share of time spent waiting for them, and memory.

    python tests/benchmarks/data.py
    python tests/benchmarks/data.py --data /data/acdc --volumes 20 --size 224 --step 0.5

Without --data the phantom is drawn into a temporary folder. The training is simulated: the process computes for the
length of a step and asks for the next batch; what passes until it has it is waiting. Workers are started before the
clock. Waiting counts by the clock on the wall, so the machine must be idle: its load is printed. Memory (Linux) is the
peak, over the process and its workers, of what each has to itself plus its part of what they share, above what the
process held before it opened the loader; mapped volumes count while the system keeps them.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from monai.transforms import Compose, LoadImaged, ScaleIntensityd

from fewlabel.data import Cohort, SliceDataset, TwoStreamLoader
from fewlabel.data.phantoms.cohort import write_phantom
from fewlabel.transforms import CheckCased, SliceAugmentationd


def datasets(options: argparse.Namespace, folder: Path) -> tuple[SliceDataset, SliceDataset]:
    """The labeled and the unlabeled slices, preprocessed into ``folder``."""
    root = Path(options.data) if options.data else write_phantom(folder / "phantom", cases=12)
    cohort = Cohort(root, labeled_cases=options.labeled_cases)
    load = LoadImaged(["image", "label"], ensure_channel_first=True, allow_missing_keys=True)
    preprocessing = Compose([load, CheckCased(cohort.num_classes), ScaleIntensityd("image")])
    augment = SliceAugmentationd((options.size, options.size))
    parts = (cohort.labeled[: options.volumes], cohort.unlabeled[: options.volumes])
    start = time.perf_counter()
    made = [SliceDataset(items, preprocessing, augment, cache_dir=folder / "cache") for items in parts]
    volumes = sum(map(len, parts))
    print(f"{root}: {len(made[0])} labeled and {len(made[1])} unlabeled slices of {volumes} volumes, ", end="")
    print(f"preprocessed in {(time.perf_counter() - start) / volumes * 1e3:.0f} ms per volume\n")
    return made[0], made[1]


def cost_per_slice(dataset: SliceDataset, slices: int) -> float:
    """Processor milliseconds per slice, each of another place and another seed."""
    for index in range(10):
        dataset[index % len(dataset), index]
    start = time.process_time()
    for index in range(slices):
        dataset[index * 7919 % len(dataset), index]
    return (time.process_time() - start) / slices * 1e3


def held(process: int) -> float:
    """Megabytes of a process and its children, shared pages divided among those who share them."""
    total = 0.0
    for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
        total += int(line.split()[1]) / 1024 if line.startswith("Pss:") else 0
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return total + sum(held(int(child)) for child in children)


def simulate(parts: tuple[SliceDataset, SliceDataset], num_workers: int, options: argparse.Namespace) -> dict[str, Any]:
    """Seconds spent on steps and on waiting for batches, and the peak of the memory."""
    measures_memory = Path(f"/proc/{os.getpid()}/smaps_rollup").exists()
    before = held(os.getpid()) if measures_memory else float("nan")
    loader = TwoStreamLoader(
        *parts, options.batch, options.batch, steps_per_epoch=options.steps, num_workers=num_workers
    )
    batches = iter(loader)
    next(batches)
    waited, peak, start = 0.0, before, time.perf_counter()
    for step in range(options.steps):
        end = time.perf_counter() + options.step
        while time.perf_counter() < end:  # computes, as a training on the CPU does; sleeping would free the core
            pass
        asked = time.perf_counter()
        next(batches)
        waited += time.perf_counter() - asked
        if measures_memory and step % 5 == 0:
            peak = max(peak, held(os.getpid()))
    return {"waited": waited, "share": waited / (time.perf_counter() - start), "memory": peak - before}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="a prepared dataset; the phantom by default")
    parser.add_argument("--labeled-cases", type=int, default=3)
    parser.add_argument("--volumes", type=int, help="use so many volumes of each kind; all by default")
    parser.add_argument("--size", type=int, default=224, help="pixels along a side")
    parser.add_argument("--batch", type=int, default=4, help="labeled slices per step, and as many unlabeled ones")
    parser.add_argument("--step", type=float, default=0.3, help="seconds of computing per step")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--slices", type=int, default=300, help="slices for the time of one")
    parser.add_argument("--num-workers", type=int, nargs="+", default=[0, 1, 2], help="per stream")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        labeled, unlabeled = datasets(options, Path(folder))
        augment, labeled.transform = labeled.transform, None
        read = cost_per_slice(labeled, options.slices)
        labeled.transform = augment
        whole = cost_per_slice(labeled, options.slices)
        print(f"one core, {options.size} pixels: {whole:.2f} ms per labeled slice, {read:.2f} ms of it for reading\n")
        print(f"{options.batch} + {options.batch} slices per step of {options.step} s, {options.steps} steps, ", end="")
        print(f"on {os.cpu_count()} cores with a load of {os.getloadavg()[0]:.1f}")
        print(f"{'workers':>8} {'wait per step':>14} {'share of time':>14} {'memory':>10}")
        for num_workers in options.num_workers:
            found = simulate((labeled, unlabeled), num_workers, options)
            wait = f"{found['waited'] / options.steps * 1e3:.1f} ms"
            print(f"{num_workers:>8} {wait:>14} {found['share']:>13.1%} {found['memory']:>7.0f} MB")


if __name__ == "__main__":
    main()
