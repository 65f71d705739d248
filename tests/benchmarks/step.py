"""Seconds, memory and parts of a training step of supervised learning, cross teaching, MCSC and MCSCv2.

    python tests/benchmarks/step.py --device cuda --steps 20

By default at the size of thesis table 4.5: two labeled and two unlabeled slices of 224 x 224 pixels, all groups of the
contrast, after its warm-up. The steps are those of SemiSupervisedTrainer with AdamW; on CUDA in bfloat16 as there,
elsewhere with --amp. "CPU s" is the time that all threads of the process spent computing, which other programs on the
machine change less than they change "s/step".
The shares come from further steps, which wait for the device after each part. The contrast finds its gradient in the
forward pass, so it bears most of its own backward pass. Images are noise and labels three discs: untrained networks
see foreground everywhere, so that no group is skipped. They are sure of nothing, so MCSCv2 takes pixels of any
probability as anchors here. "drawn" is MCSCv2 with the center of the drawn anchors alone. The thesis measured 0.22 s
for cross teaching, 0.83 s for MCSC and 0.27 s for MCSCv2 on an RTX 3090 (table 5.9).
"swin_unet" and "cs_unet" are these Transformers trained alone, on the labeled slices.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import torch
from ignite.engine import Events
from measure import MEGABYTE, Clock, checked_device, machine, status, synchronize
from monai.losses import DiceCELoss, DiceLoss
from torch import nn

from fewlabel.conventions.precision import AMP
from fewlabel.engines import SemiSupervisedTrainer
from fewlabel.methods import MCSC, CertaintyGuidedContrastiveLoss, CrossTeaching, MCSCv2, Supervised
from fewlabel.networks import CSUNet, SwinUnet, UNet

PARTS = ("CNN forward", "Transformer forward", "supervised", "cross", "contrastive", "backward", "optimizer", "other")


@dataclass(frozen=True)
class Setting:
    """The size of a step."""

    device: str = "cpu"
    size: int = 224
    labeled: int = 2
    unlabeled: int = 2
    groups_per_step: int | None = None
    steps: int = 3
    norm: str = "batch"
    amp: str = "cuda"
    channels_last: bool = False


@dataclass(frozen=True)
class Timing:
    """A method's step: median, fastest and slowest seconds, median on the CPU, peak bytes, and each part's share."""

    seconds: float
    fastest: float
    slowest: float
    cpu_seconds: float
    peak_bytes: int | None
    shares: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def cnn(setting: Setting) -> nn.Module:
    return UNet(norm=setting.norm, xavier_head=True)


def students(setting: Setting) -> tuple[nn.Module, nn.Module]:
    return cnn(setting), SwinUnet(img_size=setting.size, head_kernel_size=3)


def mcsc(setting: Setting) -> nn.Module:
    side = setting.size // 8
    sizes = {1: min(19, setting.size), 8: side // 2 if side >= 2 else 1}  # 19 and 14 at 224 pixels
    return MCSC(*students(setting), sizes, warmup=0.0, groups_per_step=setting.groups_per_step)


def mcsc_v2(setting: Setting, center: str) -> nn.Module:
    return MCSCv2(
        *students(setting), contrastive_loss=partial(CertaintyGuidedContrastiveLoss, threshold=0.0, center=center)
    )


METHODS: dict[str, Callable[[Setting], nn.Module]] = {
    "supervised": lambda setting: Supervised(cnn(setting)),
    "swin_unet": lambda setting: Supervised(SwinUnet(img_size=setting.size)),
    "cs_unet": lambda setting: Supervised(CSUNet(img_size=setting.size)),
    "cts": lambda setting: CrossTeaching(*students(setting)),
    "mcsc": mcsc,
    "mcsc_v2": lambda setting: mcsc_v2(setting, "all"),
    "drawn": lambda setting: mcsc_v2(setting, "drawn"),
}


def make_batch(setting: Setting) -> dict[str, dict[str, torch.Tensor]]:
    """Noise, and three discs inside each other."""
    axis = torch.linspace(-1, 1, setting.size)
    radius = (axis[:, None] ** 2 + axis**2).sqrt()
    label = sum((radius < limit).long() for limit in (0.5, 0.35, 0.25))
    shape = (1, setting.size, setting.size)
    return {
        "labeled": {
            "image": torch.rand(setting.labeled, *shape),
            "label": label.expand(setting.labeled, *shape).clone(),  # type: ignore[union-attr]
        },
        "unlabeled": {"image": torch.rand(setting.unlabeled, *shape)},
    }


def channels_last(images: torch.Tensor) -> torch.Tensor:
    """Lay images out with their channels side by side, also those of one channel, whose strides fit both layouts."""
    _, channels, rows, columns = images.shape
    strides = (channels * rows * columns, 1, columns * channels, channels)
    return torch.empty_strided(images.shape, strides).copy_(images)


def measure(name: str, setting: Setting, with_parts: bool = True) -> Timing:
    """Time the steps of a method: one to warm up, then those that count, then two more by part."""
    torch.manual_seed(0)
    device = torch.device(setting.device)
    layout = torch.channels_last if setting.channels_last else torch.contiguous_format
    method = METHODS[name](setting).to(device, memory_format=layout)
    optimizer = torch.optim.AdamW(method.parameters(), lr=1e-4)
    batch, clock = make_batch(setting), Clock(device)
    if setting.channels_last:
        for part in batch.values():
            part["image"] = channels_last(part["image"])
    alone = isinstance(method, Supervised)
    terms = ["supervised"] if alone else [f"{t}_{n}" for t in ("supervised", "cross") for n in STUDENTS]
    weights = dict.fromkeys(terms, 1.0) | ({"contrastive": 2e-3} if name in CONTRASTS else {})
    warm = 1 if device.type == "cpu" else 5
    total = warm + setting.steps + (2 if with_parts else 0)
    trainer = SemiSupervisedTrainer(device, 1, [batch] * total, method, optimizer, weights, amp=setting.amp)
    _follow(method, optimizer, clock, rest="contrastive" if name in CONTRASTS else "other")
    seconds: list[float] = []
    cpu_seconds: list[float] = []
    began = began_on_cpu = 0.0

    def start(engine: SemiSupervisedTrainer) -> None:
        nonlocal began, began_on_cpu
        if engine.state.iteration == warm + setting.steps + 1:
            clock.start()
        synchronize(device)
        began = time.perf_counter()
        began_on_cpu = time.process_time()

    def finish(engine: SemiSupervisedTrainer) -> None:
        clock.lap("other")
        synchronize(device)
        if warm < engine.state.iteration <= warm + setting.steps:
            seconds.append(time.perf_counter() - began)
            cpu_seconds.append(time.process_time() - began_on_cpu)

    trainer.add_event_handler(Events.ITERATION_STARTED, start)
    trainer.add_event_handler(Events.ITERATION_COMPLETED, finish)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    trainer.run()
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
    spent = sum(clock.seconds.values())
    shares = {part: clock.seconds[part] / spent for part in PARTS if clock.seconds[part]} if spent else {}
    return Timing(statistics.median(seconds), min(seconds), max(seconds), statistics.median(cpu_seconds), peak, shares)


STUDENTS = ("cnn", "transformer")
CONTRASTS = {"mcsc": "4.5: 3.77", "mcsc_v2": "5.9: 1.23", "drawn": "5.9: 1.23"}  # and what the thesis says they cost


def _follow(method: nn.Module, optimizer: torch.optim.Optimizer, clock: Clock, rest: str) -> None:
    """Let the clock lap at every seam of a step; what lies between two seams of the method is ``rest``."""
    method.register_forward_pre_hook(lambda *_: clock.lap("other"))
    method.register_forward_hook(lambda *_: clock.lap(rest))
    optimizer.register_step_pre_hook(lambda *_: clock.lap("backward"))
    optimizer.register_step_post_hook(lambda *_: clock.lap("optimizer"))

    def lap_around(module: nn.Module, part: str) -> None:
        module.register_forward_pre_hook(lambda *_: clock.lap(rest))
        module.register_forward_hook(lambda *_: clock.lap(part))

    for network in method.children():
        if isinstance(network, UNet | SwinUnet | CSUNet):
            part = "CNN forward" if isinstance(network, UNet) else "Transformer forward"
            network.features = _timed(network.features, clock, rest, part)  # type: ignore[method-assign]
            lap_around(network.head, part)
    whole = [module for module in method.modules() if isinstance(module, DiceCELoss)]
    halves = {id(child) for module in whole for child in module.modules()}
    for module in whole:
        lap_around(module, "supervised")
    for module in method.modules():
        if isinstance(module, DiceLoss) and id(module) not in halves:
            lap_around(module, "cross")


def _timed(function: Callable[..., Any], clock: Clock, before: str, part: str) -> Callable[..., Any]:
    def timed(*arguments: Any) -> Any:
        clock.lap(before)
        result = function(*arguments)
        clock.lap(part)
        return result

    return timed


def resident_peak(name: str, setting: Setting) -> int:
    """Bytes by which a method, its optimizer and one step raise this process's resident set, at the peak (Linux)."""
    before = status("VmRSS")
    measure(name, Setting(**{**asdict(setting), "steps": 1}), with_parts=False)
    return status("VmHWM") - before


def peak_of_own_process(name: str, arguments: list[str]) -> int:
    # Large tensors go back to the system when freed, so the peak is what is alive and not what malloc holds back.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "1000000"}
    command = [sys.executable, __file__, *arguments, "--peak-of", name]
    return int(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout)


def table(timings: dict[str, Timing]) -> str:
    """Rows of text, one per method, and what contrasts cost beyond cross teaching."""
    used = [part for part in PARTS if any(part in timing.shares for timing in timings.values())]
    heads = "".join(f"{head:>9}" for head in ("s/step", "fastest", "slowest", "CPU s", "peak MB"))
    lines = [f"{'method':<12}{heads}" + "".join(f"  {p}" for p in used)]
    for name, timing in timings.items():
        peak = "-" if timing.peak_bytes is None else f"{timing.peak_bytes / MEGABYTE:.0f}"
        shares = "".join(f"  {timing.shares.get(part, 0.0):>{len(part)}.1%}" for part in used)
        spent = (timing.seconds, timing.fastest, timing.slowest, timing.cpu_seconds)
        lines.append(f"{name:<12}{''.join(f'{number:9.3f}' for number in spent)}{peak:>9}{shares}")
    for name in CONTRASTS if "cts" in timings else ():
        if name in timings:
            ratio = timings[name].seconds / timings["cts"].seconds
            lines.append(f"{name} / cts: {ratio:.2f} (thesis table {CONTRASTS[name]})")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--size", type=int, default=224, help="side of a slice, a multiple of 32")
    parser.add_argument("--labeled", type=int, default=2, help="labeled slices of a step")
    parser.add_argument("--unlabeled", type=int, default=2, help="unlabeled slices of a step")
    parser.add_argument("--steps", type=int, default=3, help="steps that count")
    parser.add_argument("--groups-per-step", type=int, help="of the contrast, per scale; all by default")
    parser.add_argument("--norm", default="batch", help="of the CNN")
    parser.add_argument("--amp", choices=AMP, default="cuda", help="where networks compute in bfloat16")
    parser.add_argument(
        "--channels-last", action="store_true", help="keep images and weights with channels side by side"
    )
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--threads", type=int, default=2, help="of the CPU")
    parser.add_argument("--no-memory", action="store_true", help="do not measure the CPU's memory, in own processes")
    parser.add_argument("--peak-of", choices=METHODS, help=argparse.SUPPRESS)  # what the processes of their own run
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    device = checked_device(options.device)
    setting = Setting(
        options.device, options.size, options.labeled, options.unlabeled, options.groups_per_step, options.steps,
        options.norm, options.amp, options.channels_last,
    )  # fmt: skip
    if options.peak_of:
        print(resident_peak(options.peak_of, setting))
        return
    print(f"{setting.labeled} + {setting.unlabeled} slices of {setting.size} x {setting.size}, {machine(device)}")
    timings = {}
    for name in options.methods:
        timings[name] = measure(name, setting)
        if device.type == "cpu" and not options.no_memory:
            words = sys.argv[1:] if arguments is None else arguments
            timings[name] = Timing(**{**asdict(timings[name]), "peak_bytes": peak_of_own_process(name, words)})
    print(table(timings))


if __name__ == "__main__":
    main()
