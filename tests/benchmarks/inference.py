"""Seconds and memory of segmenting a scan through a bundle's inference.json, against a bare loop.

    python tests/benchmarks/inference.py --bundle mcsc --repeats 9

The scan is noise of the size of one of ACDC. The bare loop is what one would write by hand: for each slice resize it,
run the network, resize the logits back and take the argmax; to read and write, nibabel alone. Ours is the configured
`segmentation`, with its checks of the scan, its note of what is finished and its atomic files. Both have the same
network with the same weights, untrained. Times are medians of pairs run alternately, and the ratio that of the pairs;
"in network" is from the loaded image to the label map. Each peak is that of a process of its own (Linux), beyond what
it held before the scan was read.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
import torch.nn.functional as F
from measure import MEGABYTE, checked_device, machine, status, synchronize
from monai.bundle import ConfigParser
from torch import nn

ROOT = Path(__file__).parents[2]
Timed = Callable[[], tuple[float, float]]


def configured(options: argparse.Namespace, folder: Path) -> ConfigParser:
    """The bundle's inference.json with an untrained network, on one scan."""
    parser = ConfigParser()
    parser.read_config(str(ROOT / "bundles" / options.bundle / "configs" / "inference.json"))
    parser["bundle_root"] = str(ROOT / "bundles" / options.bundle)
    parser["dataset_dir"], parser["output_dir"] = str(folder / "scan.nii.gz"), str(folder / "ours")
    parser["checkpoint"], parser["device"] = str(folder / "model.pt"), torch.device(options.device)
    if options.batch_size:
        parser["inferer#batch_size"] = options.batch_size
    torch.manual_seed(0)
    parser.get_parsed_content("network").eval()
    return parser


def write_scan(shape: tuple[int, int, int], folder: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 1000, shape).astype(np.int16)
    nib.save(nib.Nifti1Image(noise, np.diag([1.5, 1.5, 10.0, 1.0])), folder / "scan.nii.gz")


def ours(parser: ConfigParser, folder: Path) -> tuple[float, float]:
    """Seconds of a case, and those of them in the network; the last result and its note are removed first."""
    segmentation: Any = parser.get_parsed_content("segmentation")
    for file in [*(folder / "ours").glob("*.nii.gz"), *(folder / "ours" / ".finished").glob("*")]:
        file.unlink()
    with contextlib.redirect_stdout(io.StringIO()):
        [outcome] = segmentation.run()
    return outcome.seconds, outcome.in_network


@torch.inference_mode()
def bare(network: nn.Module, size: tuple[int, int], device: torch.device, folder: Path) -> tuple[float, float]:
    """The same of a loop over slices."""
    began = time.perf_counter()
    image = nib.load(folder / "scan.nii.gz")
    volume = torch.from_numpy(image.get_fdata(dtype=np.float32))
    volume = (volume - volume.min()) / (volume.max() - volume.min())
    loaded = time.perf_counter()
    labels = []
    for index in range(volume.shape[2]):
        single = volume[None, None, :, :, index].to(device)
        logits = network(F.interpolate(single, size, mode="bilinear", align_corners=False))
        logits = F.interpolate(logits, single.shape[2:], mode="bilinear", align_corners=False)
        labels.append(logits[0].argmax(dim=0).to(torch.uint8).cpu())
    result = torch.stack(labels, dim=2).numpy()
    synchronize(device)
    segmented = time.perf_counter()
    nib.save(nib.Nifti1Image(result, image.affine), folder / "bare.nii.gz")
    return time.perf_counter() - began, segmented - loaded


def runs(options: argparse.Namespace, folder: Path) -> dict[str, Timed]:
    device = torch.device(options.device)
    parser = configured(options, folder)
    network, inferer = parser.get_parsed_content("network"), parser.get_parsed_content("inferer")
    return {
        "bare loop": lambda: bare(network, inferer.size, device, folder),
        "inference.json": lambda: ours(parser, folder),
    }


def peak(name: str, options: argparse.Namespace, shape: tuple[int, int, int]) -> float:
    """Bytes beyond what was there before, at the peak of one case in a process of its own."""
    arguments = {"bundle": options.bundle, "device": options.device, "threads": options.threads}
    arguments |= {"batch-size": options.batch_size}
    words = [word for key, value in arguments.items() for word in (f"--{key}", str(value))]
    command = [sys.executable, __file__, *words, "--shape", *map(str, shape), "--peak-of", name]
    # large tensors go back to the system when freed, so that the peak is what is alive
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "1000000"}
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout)


def resident_peak(name: str, options: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_scan((32, 32, 2), folder)
        run = runs(options, folder)[name]
        run()  # loads the libraries
        write_scan(tuple(options.shape), folder)
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts again from here
        before = status("VmRSS")
        run()
        return status("VmHWM") - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="mcsc")
    parser.add_argument("--shape", type=int, nargs=3, default=[216, 256, 10], help="voxels of the scan")
    parser.add_argument("--repeats", type=int, default=9, help="pairs to time")
    parser.add_argument("--batch-size", type=int, default=0, help="slices at a time; 0 takes the config's")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2, help="of the CPU")
    parser.add_argument("--no-memory", action="store_true", help="measure the time only")
    parser.add_argument("--peak-of", help=argparse.SUPPRESS)  # what the processes of their own run
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = checked_device(options.device)
    if options.peak_of:
        print(resident_peak(options.peak_of, options))
        return

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_scan(tuple(options.shape), folder)
        timed = runs(options, folder)
        for run in timed.values():  # warm up
            run()
        pairs = [{name: run() for name, run in timed.items()} for _ in range(options.repeats)]
        differing = np.asarray(nib.load(folder / "bare.nii.gz").dataobj) != np.asarray(
            nib.load(folder / "ours" / "scan.nii.gz").dataobj
        )
    peaks = {} if options.no_memory else {name: peak(name, options, tuple(options.shape)) for name in timed}

    print(
        f"{options.bundle}, {' x '.join(map(str, options.shape))} voxels, {machine(device)}, "
        f"load {os.getloadavg()[0]:.1f}"
    )
    print(f"{'':<16}{'in network':>12}{'read, write':>13}{'together':>10}{'peak MB':>9}")
    for name in timed:
        inside = statistics.median(pair[name][1] for pair in pairs)
        files = statistics.median(pair[name][0] - pair[name][1] for pair in pairs)
        both = statistics.median(pair[name][0] for pair in pairs)
        memory = f"{peaks[name] / MEGABYTE:9.0f}" if peaks else f"{'-':>9}"
        print(f"{name:<16}{inside:>10.3f} s{files:>11.3f} s{both:>8.3f} s{memory}")
    first, second = timed
    ratios = [[pair[second][part] / pair[first][part] for pair in pairs] for part in (1, 0)]
    inside, both = ([statistics.median(part), min(part), max(part)] for part in ratios)
    print(f"ratio in network {inside[0]:.3f} ({inside[1]:.3f} to {inside[2]:.3f}), together {both[0]:.3f}")
    print(f"{int(differing.sum())} of {differing.size} voxels differ")


if __name__ == "__main__":
    main()
