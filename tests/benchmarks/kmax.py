"""Time and memory of k-means cross-attention, forward and backward, against the dense one-hot formulation.

    python tests/benchmarks/kmax.py --pixels 100352 --repeats 5

DK-UXNet as released compares 128 queries with every voxel; a map of 112 x 112 x 80 has 1,003,520, a tenth of which is
the default here. The dense formulation is that of kMaX-DeepLab: products of all queries with all voxels, their argmax
scattered into a one-hot matrix, and a matrix product with the values. Times are medians of pairs run alternately; on a
CPU they are CPU time, which other programs do not lengthen. Peaks are beyond the inputs and the gradient of the values,
which any formulation has to return; on a CPU each is that of a process of its own (Linux), on CUDA the allocator's.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from measure import MEGABYTE, checked_device, machine, status, synchronize
from torch import Tensor

from fewlabel.layers import kmax_attention

Attention = Callable[[Tensor, Tensor, Tensor], Tensor]


def dense(queries: Tensor, pixels: Tensor, values: Tensor) -> Tensor:
    """Equation 2 with whole matrices: (b, N, P) products, a one-hot (b, N, P), a product with the values."""
    products = queries @ pixels.transpose(1, 2)
    with torch.no_grad():
        chosen = torch.zeros_like(products).scatter_(1, products.argmax(dim=1, keepdim=True), 1.0)
    return chosen @ values


def lean(queries: Tensor, pixels: Tensor, values: Tensor) -> Tensor:
    return kmax_attention(queries, pixels, values)[0]


ATTENTIONS: dict[str, Attention] = {"dense": dense, "fewlabel": lean}


def inputs(pixels: int, options: argparse.Namespace) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    sizes = ((options.queries, options.dim), (pixels, options.dim), (pixels, options.value_dim))
    queries, keys, values = (torch.randn(1, *size, device=options.device) for size in sizes)
    return queries, keys, values.requires_grad_()


def step(attention: Attention, tensors: tuple[Tensor, Tensor, Tensor]) -> float:
    """Seconds of one forward and backward pass."""
    tensors[2].grad = None
    clock = time.perf_counter if tensors[2].is_cuda else time.process_time
    synchronize(tensors[2].device)
    began = clock()
    attention(*tensors).square().sum().backward()
    synchronize(tensors[2].device)
    return clock() - began


def alternate(tensors: tuple[Tensor, Tensor, Tensor], repeats: int) -> dict[str, float]:
    """Median seconds of each formulation, after one step to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in ATTENTIONS}
    for _ in range(repeats + 1):
        for name, attention in ATTENTIONS.items():
            seconds[name].append(step(attention, tensors))
    return {name: statistics.median(values[1:]) for name, values in seconds.items()}


def peak(name: str, options: argparse.Namespace) -> float:
    """Bytes at the peak of one step, beyond the inputs and the values' gradient."""
    gradient = 4 * options.pixels * options.value_dim
    if options.device == "cpu":
        sizes = {"pixels": options.pixels, "queries": options.queries, "dim": options.dim}
        words = [word for key, value in sizes.items() for word in (f"--{key}", str(value))]
        command = [sys.executable, __file__, *words, "--value-dim", str(options.value_dim), "--peak-of", name]
        # Large tensors go back to the system when freed, so the peak is what is alive and not what malloc holds back.
        environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "1000000"}
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
        return float(done.stdout) - gradient
    tensors = inputs(options.pixels, options)
    step(ATTENTIONS[name], tensors)
    tensors[2].grad = None
    before = torch.cuda.memory_allocated(options.device)
    torch.cuda.reset_peak_memory_stats(options.device)
    step(ATTENTIONS[name], tensors)
    return float(torch.cuda.max_memory_allocated(options.device) - before - gradient)


def resident_peak(name: str, options: argparse.Namespace) -> int:
    """Bytes by which one step raises this process's resident set, at its peak."""
    step(ATTENTIONS[name], inputs(64, options))  # loads the libraries
    tensors = inputs(options.pixels, options)
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts again from here
    before = status("VmRSS")
    step(ATTENTIONS[name], tensors)
    return status("VmHWM") - before


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pixels", type=int, default=112 * 112 * 8)
    parser.add_argument("--queries", type=int, default=128)
    parser.add_argument("--dim", type=int, default=128, help="channels in which queries and pixels are compared")
    parser.add_argument("--value-dim", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--peak-of", choices=ATTENTIONS, help=argparse.SUPPRESS)  # what the processes of their own run
    options = parser.parse_args(arguments)
    device = checked_device(options.device)
    if options.peak_of:
        print(resident_peak(options.peak_of, options))
        return
    print(f"{options.queries} queries x {options.pixels} pixels, forward + backward, {machine(device)}")
    print(f"{'attention':<10}{'seconds':>10}{'of dense':>10}{'peak MB':>10}{'of dense':>10}")
    peaks = {name: peak(name, options) for name in ATTENTIONS}
    times = alternate(inputs(options.pixels, options), options.repeats)
    for name in ATTENTIONS:
        print(
            f"{name:<10}{times[name]:10.3f}{times[name] / times['dense']:10.3f}"
            f"{peaks[name] / MEGABYTE:10.0f}{peaks[name] / peaks['dense']:10.3f}"
        )


if __name__ == "__main__":
    main()
