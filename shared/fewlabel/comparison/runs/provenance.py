"""What a run needs to be repeated: commit, versions, machine."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import re
import subprocess
from pathlib import Path
from typing import Any

import fewlabel
from fewlabel.version import __version__

_PACKAGES = ("torch", "monai", "pytorch-ignite", "numpy", "scipy")


@functools.cache
def commit() -> str | None:
    """Return the commit of the checkout that this package is in, with "+changes" where files differ from it."""
    folder = Path(fewlabel.__file__).parents[2]
    if not (folder / ".git").exists():
        return None
    head = _output(["git", "-C", str(folder), "rev-parse", "HEAD"])
    if head is None:
        return None
    changed = _output(["git", "-C", str(folder), "status", "--porcelain", "--untracked-files=no"])
    return head + ("+changes" if changed else "")


def versions() -> dict[str, str]:
    """Return the versions of Python, of this package and of those it computes with."""
    found = {"python": platform.python_version(), "fewlabel": __version__}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "unknown"
    return found


@functools.cache
def machine() -> dict[str, Any]:
    """Return what the machine is: host, system, processor, cores, memory in GiB, GPUs."""
    gpus = _output(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"])
    return {
        "host": platform.node(),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": cores(),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "gpus": gpus.splitlines() if gpus else [],
    }


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    text = information.read_text(encoding="utf-8") if information.is_file() else ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.processor() or platform.machine()


def _output(words: list[str]) -> str | None:
    """Return what a program prints, None where there is no such program or it fails."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
