"""Measure what augmentation costs, in milliseconds of one core for a slice, a patch or a batch.

python tests/benchmarks/augmentation.py
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch

from fewlabel.transforms import patch_augmentation, slice_augmentation, strong_view

SLICES = (128, 256)
PATCHES = ((64, 64, 32), (112, 112, 80))


def cost(call: Callable[[int], Any], repeats: int) -> float:
    """Processor milliseconds of a call, whose argument is a seed."""
    for seed in range(3):
        call(seed)
    start = time.process_time()
    for seed in range(repeats):
        call(seed)
    return (time.process_time() - start) / repeats * 1e3


def item(*shape: int) -> dict[str, torch.Tensor]:
    """An image and its label, before augmentation."""
    generator = torch.Generator().manual_seed(0)
    label = torch.randint(4, (1, *shape), generator=generator, dtype=torch.uint8)
    return {"image": torch.rand(1, *shape, generator=generator), "label": label}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=300, help="slices; a tenth of it for patches and batches")
    options = parser.parse_args()
    torch.set_num_threads(1)
    heart, atrium = item(216, 256), item(150, 140, 90)
    print(f"{'':<34}{'published':>12}{'strong':>12}   ms of a core")
    for size in SLICES:
        kinds = [slice_augmentation(name, (size, size)) for name in ("published", "strong")]
        found = [cost(lambda seed, one=one: one.set_random_state(seed=seed)(heart), options.repeats) for one in kinds]
        print(f"slice {size} x {size:<25}{found[0]:>12.2f}{found[1]:>12.2f}")
    for patch in PATCHES:
        chosen: list[Any] = [patch_augmentation(name, patch) for name in ("published", "strong")]
        repeats = max(1, options.repeats // 10)
        found = [cost(lambda seed, one=one: one.set_random_state(seed=seed)(atrium), repeats) for one in chosen]
        print(f"patch {' x '.join(map(str, patch)):<28}{found[0]:>12.2f}{found[1]:>12.2f}")
    batch = torch.rand(4, 1, 128, 128)
    found = [cost(lambda seed: strong_view(batch, torch.Generator().manual_seed(seed)), max(1, options.repeats // 10))]
    print(f"{'strong_view of 4 slices of 128':<34}{'':>12}{found[0]:>12.2f}")


if __name__ == "__main__":
    main()
