"""Time and memory of the balanced contrastive loss of MCSC, forward and backward, against dense autograd.

    python tests/benchmarks/contrastive.py --groups 16 100 --repeats 5

The groups are those of MCSC: a patch of 19 x 19 pixels of four images seen by two networks is 2,888 pixels. The dense
loss is what autograd makes of the equation, one group after the other. Times are medians of pairs run alternately. On
a CPU each peak is that of a process of its own (Linux); on CUDA it is the allocator's. The dense loss keeps about 52 MB
per group of that size, 5 GB for 100.
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
import torch.nn.functional as F
from torch import Tensor

from fewlabel.losses import balanced_contrastive

TEMPERATURE = 0.1
MEGABYTE = 1e6
Loss = Callable[[Tensor, Tensor], Tensor]


def dense(features: Tensor, labels: Tensor) -> Tensor:
    """Equation 4.2, leave-one-out, with whole matrices and autograd."""
    return torch.stack([dense_group(f, y) for f, y in zip(features, labels, strict=True)]).mean()


def dense_group(features: Tensor, labels: Tensor) -> Tensor:
    similarity = features @ features.T / TEMPERATURE
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    same = labels[:, None] == labels
    counts = same.sum(dim=1)
    log_weights = -(counts - same.to(features.dtype)).clamp(min=1).log()
    denominator = (similarity + log_weights).masked_fill(itself, -torch.inf).logsumexp(dim=1)
    positive = (similarity * (same & ~itself)).sum(dim=1) / (counts - 1).clamp(min=1)
    return (denominator - positive)[counts > 1].mean()


def tiled(features: Tensor, labels: Tensor) -> Tensor:
    return balanced_contrastive(features, labels, TEMPERATURE)


LOSSES: dict[str, Loss] = {"dense": dense, "fewlabel": tiled}


def inputs(groups: int, options: argparse.Namespace) -> tuple[Tensor, Tensor]:
    """Unit features, and labels of four classes with seven tenths of background."""
    torch.manual_seed(0)
    labels = torch.randint(4, (groups, options.pixels))
    labels[torch.rand(labels.shape) < 0.6] = 0
    features = F.normalize(torch.randn(groups, options.pixels, options.dim), dim=-1)
    return features.to(options.device).requires_grad_(), labels.to(options.device)


def step(loss: Loss, features: Tensor, labels: Tensor) -> float:
    """Seconds of one forward and backward pass."""
    features.grad = None
    synchronize(features)
    start = time.perf_counter()
    loss(features, labels).backward()
    synchronize(features)
    return time.perf_counter() - start


def synchronize(features: Tensor) -> None:
    if features.is_cuda:
        torch.cuda.synchronize(features.device)


def alternate(features: Tensor, labels: Tensor, repeats: int) -> dict[str, float]:
    """Median seconds of each loss."""
    for loss in LOSSES.values():  # warm up
        step(loss, features[:1].detach().requires_grad_(), labels[:1])
    seconds: dict[str, list[float]] = {name: [] for name in LOSSES}
    for _ in range(repeats):
        for name, loss in LOSSES.items():
            seconds[name].append(step(loss, features, labels))
    return {name: statistics.median(values) for name, values in seconds.items()}


def peak(name: str, groups: int, options: argparse.Namespace) -> float:
    """Bytes beyond the inputs at the peak of one step, the features' gradient included."""
    if options.device == "cpu":
        arguments = {"groups": groups, "pixels": options.pixels, "dim": options.dim, "threads": options.threads}
        words = [word for key, value in arguments.items() for word in (f"--{key}", str(value))]
        command = [sys.executable, __file__, *words, "--peak-of", name]
        # Large tensors go back to the system when freed, so the peak is what is alive and not what malloc holds back.
        environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "1000000"}
        return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout)
    features, labels = inputs(groups, options)
    step(LOSSES[name], features[:1].detach().requires_grad_(), labels[:1])
    features.grad = None
    before = torch.cuda.memory_allocated(features.device)
    torch.cuda.reset_peak_memory_stats(features.device)
    step(LOSSES[name], features, labels)
    return float(torch.cuda.max_memory_allocated(features.device) - before)


def resident_peak(name: str, options: argparse.Namespace) -> int:
    """Bytes by which one step raises this process's resident set, at its peak."""
    features, labels = inputs(options.groups[0], options)
    step(LOSSES[name], features[:1, :64].detach().requires_grad_(), labels[:1, :64])  # loads the libraries
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts again from here
    before = status("VmRSS")
    step(LOSSES[name], features, labels)
    return status("VmHWM") - before


def status(key: str) -> int:
    """A size in this process's status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:")) * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", type=int, nargs="+", default=[16, 100])
    parser.add_argument("--pixels", type=int, default=2888, help="in a group")
    parser.add_argument("--dim", type=int, default=128, help="of a feature")
    parser.add_argument("--repeats", type=int, default=3, help="pairs to time; 0 measures the memory only")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2, help="of the CPU")
    parser.add_argument("--peak-of", choices=LOSSES, help=argparse.SUPPRESS)  # what the processes of their own run
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.peak_of:
        print(resident_peak(options.peak_of, options))
        return

    where = torch.cuda.get_device_name(options.device) if options.device != "cpu" else f"{options.threads} CPU threads"
    print(f"forward + backward, {options.pixels} pixels x {options.dim} features, {where}, torch {torch.__version__}")
    print(f"{'groups':>6}  {'loss':<10}{'seconds':>10}{'of dense':>10}{'peak MB':>10}{'of dense':>10}")
    for groups in options.groups:
        peaks = {name: peak(name, groups, options) for name in LOSSES}
        times = alternate(*inputs(groups, options), options.repeats) if options.repeats else {}
        for name in LOSSES:
            spent = f"{times[name]:10.3f}{times[name] / times['dense']:10.3f}" if times else f"{'-':>10}{'-':>10}"
            print(f"{groups:>6}  {name:<10}{spent}{peaks[name] / MEGABYTE:10.0f}{peaks[name] / peaks['dense']:10.3f}")


if __name__ == "__main__":
    main()
