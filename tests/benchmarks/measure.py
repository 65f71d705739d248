"""What the benchmarks share: clocks that wait for the device, the peak of the memory, and a machine's name."""

from __future__ import annotations

import time
from collections import defaultdict
from pathlib import Path

import torch

MEGABYTE = 1e6


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what it was asked to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def checked_device(name: str) -> torch.device:
    """The device called ``name``, or an error where there is none."""
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit(
            "this machine has no CUDA device that PyTorch can use; measure the CPU with --device cpu, or see "
            "nvidia-smi and torch.version.cuda for what is missing"
        )
    return device


def machine(device: torch.device) -> str:
    """The device and the version of PyTorch, for a table's title."""
    threads = f"{torch.get_num_threads()} CPU threads"
    return f"{torch.cuda.get_device_name(device) if device.type == 'cuda' else threads}, torch {torch.__version__}"


class Clock:
    """Seconds by part of a sequence of events: ``lap`` gives the time since the last one to a part.

    Waiting for the device at every lap costs overlap, so laps say how a step is shared out, not how long it takes.
    """

    def __init__(self, device: torch.device) -> None:
        self.device, self.seconds = device, defaultdict(float)
        self.running, self._last = False, 0.0

    def start(self) -> None:
        self.running = True
        self.seconds.clear()
        self._last = self._now()

    def lap(self, part: str) -> None:
        if self.running:
            now = self._now()
            self.seconds[part] += now - self._last
            self._last = now

    def _now(self) -> float:
        synchronize(self.device)
        return time.perf_counter()


def status(key: str) -> int:
    """A size in this process's status, in bytes (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:")) * 1024
