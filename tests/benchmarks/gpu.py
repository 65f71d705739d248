"""Everything that wants a GPU, in one command that stops in time.

    python tests/benchmarks/gpu.py --seconds 600 --out results --data /data/acdc

Sections, in this order: agreement of the device with the CPU, speed of the losses and layers, the step table, and with
--data a short training of each bundle. A section that no time is left for is skipped and says so. After each section
DIR/results.json and DIR/results.md are written anew, so what was measured is kept whatever ends the program. With
--device cpu the sizes are small: it tries the program out.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import agreement
import contrastive
import kmax
import step
import torch
import uxnet
from measure import MEGABYTE, checked_device, machine, synchronize

from fewlabel.atomic import atomic_write
from fewlabel.layers import kmax_attention

BUNDLES = Path(__file__).parents[2] / "bundles"


@dataclass
class Budget:
    """Seconds that are left."""

    seconds: float
    began: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        return self.seconds - (time.monotonic() - self.began)


@dataclass
class Section:
    """What was measured: rows for the JSON, lines for the reader, and why it stopped early, if it did."""

    title: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    text: str = ""
    note: str = ""


def agreements(device: torch.device, small: bool, budget: Budget) -> Iterator[Section]:
    section, rows = Section("Agreement with the CPU"), []
    sizes = {"size": 32, "pixels": 64} if small else {}
    for row in agreement.agreements(device, **sizes):
        rows.append(row)
        section.rows.append(row.to_json())
        section.text = agreement.table(rows)
        yield section


def speed(device: torch.device, small: bool, budget: Budget) -> Iterator[Section]:
    """The contrast against dense autograd, and k-means attention."""
    section = Section("Losses and layers, forward and backward")
    lines = [f"{'seconds':>10}{'dense':>10}{'peak MB':>10}{'dense':>10}  what"]
    for groups in (1, 2) if small else (16, 144):
        options = Namespace(pixels=64 if small else 2888, dim=128, device=str(device), threads=1, groups=[groups])
        times = contrastive.alternate(*contrastive.inputs(groups, options), 1 if small else 5)
        peaks = {name: contrastive.peak(name, groups, options) for name in times} if device.type == "cuda" else {}
        what = f"balanced_contrastive, {groups} groups of {options.pixels} pixels"
        section.rows.append({"what": what, "seconds": times, "peak_bytes": peaks})
        shown = [f"{peaks[name] / MEGABYTE:10.0f}" if peaks else f"{'-':>10}" for name in ("fewlabel", "dense")]
        lines.append(f"{times['fewlabel']:10.4f}{times['dense']:10.4f}{shown[0]}{shown[1]}  {what}")
        section.text = "\n".join(lines)
        yield section
    pixels = 1000 if small else 112 * 112 * 80
    seconds = kmax_seconds(device, pixels)
    what = f"kmax_attention, 32 queries, {pixels} pixels of 64 channels"
    section.rows.append({"what": what, "seconds": {"fewlabel": seconds}})
    lines.append(f"{seconds:10.4f}{'-':>10}{'-':>10}{'-':>10}  {what}")
    section.text = "\n".join(lines)
    yield section
    options = Namespace(device=str(device), pixels=pixels, queries=128, dim=128, value_dim=256, batch=1, repeats=3)
    times = kmax.alternate(kmax.inputs(pixels, options), options.repeats)
    peaks = {name: kmax.peak(name, options) for name in times} if device.type == "cuda" else {}
    what = f"kmax_attention, 128 queries, {pixels} pixels"
    section.rows.append({"what": what, "seconds": times, "peak_bytes": peaks})
    shown = [f"{peaks[name] / MEGABYTE:10.0f}" if peaks else f"{'-':>10}" for name in ("fewlabel", "dense")]
    lines.append(f"{times['fewlabel']:10.4f}{times['dense']:10.4f}{shown[0]}{shown[1]}  {what}")
    section.text = "\n".join(lines)
    yield section
    channels, size = (4, [8, 8, 8]) if small else (48, [56, 56, 40])
    for name, compute in uxnet.CONVOLUTIONS.items():
        seconds = uxnet.convolution_seconds(compute, channels, size, options)
        what = f"depthwise 7x7x7 convolution of {channels} channels x {size}, {name}"
        section.rows.append({"what": what, "seconds": {"fewlabel": seconds}})
        lines.append(f"{seconds:10.4f}{'-':>10}{'-':>10}{'-':>10}  {what}")
    section.text = "\n".join(lines)
    yield section


def kmax_seconds(device: torch.device, pixels: int) -> float:
    queries = torch.randn(1, 32, 64, device=device)
    keys, values = torch.randn(2, 1, pixels, 64, device=device)
    values.requires_grad_()
    seconds = []
    for _ in range(6):
        synchronize(device)
        began = time.perf_counter()
        kmax_attention(queries, keys, values)[0].sum().backward()
        synchronize(device)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[1:])


def steps(device: torch.device, small: bool, budget: Budget) -> Iterator[Section]:
    """The step table at the size of thesis table 4.5."""
    section = Section("Training steps, 2 + 2 slices")
    setting = step.Setting(str(device), 32 if small else 224, steps=1 if small else 20)
    timings = {}
    for name in step.METHODS:
        timings[name] = step.measure(name, setting)
        section.rows.append({"method": name, **asdict(setting), **timings[name].to_json()})
        section.text = step.table(timings)
        yield section


def training(data: Path, device: torch.device, small: bool, budget: Budget) -> Iterator[Section]:
    """A short training of each bundle, in a process of its own that is stopped when its share of the time is over."""
    section = Section("Short trainings")
    names = sorted(path.parents[1].name for path in BUNDLES.glob("*/configs/train.json"))
    lines = [f"{'steps':>7}{'seconds':>9}{'loss':>9}{'Dice':>8}  bundle"]
    for position, name in enumerate(names):
        share = budget.left / (len(names) - position)
        with tempfile.TemporaryDirectory() as folder:
            row = train(name, data, Path(folder), device, small, share)
        section.rows.append(row)
        last = row["history"][-1] if row["history"] else {}
        dice = last.get("validation", {}).get("mean_dice", float("nan"))
        loss, done = last.get("loss", float("nan")), last.get("step", 0)
        lines.append(f"{done:7d}{row['seconds']:9.0f}{loss:9.4f}{dice:8.4f}  {name}: {row['end']}")
        section.text = "\n".join(lines)
        yield section


def train(name: str, data: Path, folder: Path, device: torch.device, small: bool, seconds: float) -> dict[str, Any]:
    """Train one bundle with its paper's settings in epochs of 100 steps (on a CPU 1) until the time is over."""
    each = 1 if small else 100
    epochs = 1 if small else max(1, int(seconds / 20))  # about 20 s each with its validation; the time ends it anyway
    overrides = {
        "dataset_dir": str(data), "output_dir": str(folder / "eval"), "ckpt_dir": str(folder / "models"),
        "device": f"$torch.device('{device}')", "paper#steps": each * epochs, "paper#steps_per_epoch": each,
        "num_workers": 0 if small else 4,
    }  # fmt: skip
    config = BUNDLES / name / "configs" / "train.json"
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", str(config)]
    command += [word for key, value in overrides.items() for word in (f"--{key}", str(value))]
    began = time.monotonic()
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            code = process.wait(timeout=max(seconds - 5, 1))
            end = "finished" if code == 0 else f"failed with exit code {code}"
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # the loaders' processes too
            process.wait()
            end = "stopped when its time was over"
    history = folder / "eval" / "history.jsonl"
    records = [json.loads(line) for line in history.read_text().splitlines()] if history.exists() else []
    log_tail = (folder / "log").read_text(errors="replace")[-3000:] if end.startswith("failed") else ""
    seconds_taken = time.monotonic() - began
    return {"bundle": name, "seconds": seconds_taken, "end": end, "history": records, "log": log_tail}


def write(out: Path, title: str, sections: list[Section]) -> None:
    """Write what is known so far, whole files."""
    content = {"machine": title, "date": time.strftime("%Y-%m-%d"), "sections": [asdict(s) for s in sections]}
    atomic_write(out / "results.json", json.dumps(content, indent=2).encode())
    parts = [f"# Measured on {title}\n\n{content['date']}, `python tests/benchmarks/gpu.py`\n"]
    for section in sections:
        body = f"```\n{section.text}\n```\n" if section.text else ""
        parts.append(f"## {section.title}\n\n{body}" + (f"\n{section.note}\n" if section.note else ""))
    atomic_write(out / "results.md", "\n".join(parts).encode())


def run(title: str, out: Path, budget: Budget, plans: dict[str, Callable[[], Iterator[Section]]], least: float) -> int:
    """Run the sections while ``least`` seconds are left; an error ends its section and not the program."""
    sections: list[Section] = []
    failed = 0
    for name, plan in plans.items():
        section = Section(name)
        sections.append(section)
        if budget.left < least:
            section.note = "Skipped: no time was left."
            write(out, title, sections)
            continue
        began = time.monotonic()
        try:
            for current in plan():
                sections[-1] = section = current
                write(out, title, sections)
                if budget.left < least:
                    section.note = "Stopped early: the time was over."
                    break
        except Exception as error:
            section.note = f"Failed: {type(error).__name__}: {error}"
            failed += 1
        section.note = (section.note + f" Took {time.monotonic() - began:.0f} s.").strip()
        write(out, title, sections)
        print(f"{section.title}\n{section.text}\n{section.note}\n", flush=True)
    return failed


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, required=True, help="time for all of it")
    parser.add_argument("--out", type=Path, required=True, help="folder for results.json and results.md")
    parser.add_argument("--data", type=Path, help="dataset in our layout, for the trainings")
    parser.add_argument("--device", default="cuda")
    options = parser.parse_args(arguments)
    if options.seconds <= 0:
        parser.error(f"--seconds must be positive, got {options.seconds}")
    if options.data is not None and not (options.data / "dataset.json").is_file():
        parser.error(f"--data {options.data} holds no dataset.json; prepare it with python -m fewlabel prepare")
    budget = Budget(options.seconds)
    device = checked_device(options.device)
    small = device.type == "cpu"
    plans: dict[str, Callable[[], Iterator[Section]]] = {
        "Agreement with the CPU": lambda: agreements(device, small, budget),
        "Losses and layers": lambda: speed(device, small, budget),
        "Training steps": lambda: steps(device, small, budget),
    }
    if options.data is not None:
        plans["Short trainings"] = lambda: training(options.data, device, small, budget)
    if run(machine(device), options.out, budget, plans, least=1.0 if small else 10.0):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
