"""Where the time of a training step of DK-UXNet goes, and what its depthwise 7 x 7 x 7 convolution costs.

    python tests/benchmarks/uxnet.py --size 112 112 80 --device cuda
    python tests/benchmarks/uxnet.py --size 32 32 32 --width 12

First the parts of forward, measured one after the other, in wall time, and backward as PyTorch's profiler divides it.
Then three exact ways to compute the depthwise convolution of the first stage, forward and backward, on a CPU in CPU
time:

    channels first    conv3d on maps (B, C, D, H, W) as PyTorch lays them out by default
    channels last     conv3d on the same values with the channels side by side in memory: what the network does
    seven planes      a sum of seven depthwise conv2d, one for each plane of the kernel
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from measure import Clock, checked_device, machine, synchronize
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from fewlabel.networks import DKUXNet
from fewlabel.networks.dk_uxnet.encoder import UXBlock, UXNetEncoder
from fewlabel.networks.dk_uxnet.kmax_decoder import KMaxLayer, MaskPredictor

Convolution = Callable[[Tensor, Tensor], Tensor]


def channels_first(x: Tensor, weight: Tensor) -> Tensor:
    return F.conv3d(x.contiguous(), weight, padding=3, groups=len(weight))


def channels_last(x: Tensor, weight: Tensor) -> Tensor:
    return F.conv3d(x.contiguous(memory_format=torch.channels_last_3d), weight, padding=3, groups=len(weight))


def seven_planes(x: Tensor, weight: Tensor) -> Tensor:
    batch, channels, depth, height, width = x.shape
    planes = F.pad(x, (0, 0, 0, 0, 3, 3)).transpose(1, 2)
    sums = [
        F.conv2d(planes[:, i : i + depth].flatten(0, 1), weight[:, :, i], padding=3, groups=channels) for i in range(7)
    ]
    return torch.stack(sums).sum(dim=0).view(batch, depth, channels, height, width).transpose(1, 2)


CONVOLUTIONS: dict[str, Convolution] = {
    "channels first": channels_first,
    "channels last": channels_last,
    "seven planes": seven_planes,
}


def convolution_seconds(compute: Convolution, channels: int, size: list[int], options: argparse.Namespace) -> float:
    """Median seconds of forward and backward of one convolution."""
    torch.manual_seed(0)
    layout = torch.channels_last_3d if compute is channels_last else torch.contiguous_format
    x = torch.randn(options.batch, channels, *size, device=options.device).to(memory_format=layout).requires_grad_()
    weight = torch.randn(channels, 1, 7, 7, 7, device=options.device).requires_grad_()
    clock = time.perf_counter if x.is_cuda else time.process_time
    seconds = []
    for _ in range(options.repeats + 1):
        synchronize(x.device)
        began = clock()
        compute(x, weight).square().sum().backward()
        synchronize(x.device)
        seconds.append(clock() - began)
    return statistics.median(seconds[1:])


def shares(network: DKUXNet, x: Tensor) -> dict[str, float]:
    """Seconds by part of one training step: of forward by module, of backward by kind of convolution."""
    clock = Clock(x.device)
    named: dict[str, list[nn.Module]] = {
        "depthwise 7x7x7": [m.spatial for m in network.modules() if isinstance(m, UXBlock)],
        "rest of the encoder": [m for m in network.modules() if isinstance(m, UXNetEncoder)],
        "skips and decoder": [*network.skips, *network.decoder],
        "k-means layers": [m for m in network.modules() if isinstance(m, KMaxLayer)],
        "mask predictor": [m for m in network.children() if isinstance(m, MaskPredictor)],
    }
    handles = []
    for part, modules in named.items():
        for module in modules:
            # what ran since the last lap belongs to whoever surrounds this module
            outside = "rest of the encoder" if part == "depthwise 7x7x7" else "other"
            handles.append(module.register_forward_pre_hook(lambda *_, outside=outside: clock.lap(outside)))
            handles.append(module.register_forward_hook(lambda *_, part=part: clock.lap(part)))
    network(x).square().mean().backward()  # to warm up
    clock.start()
    loss = network(x).square().mean()
    clock.lap("other")
    for handle in handles:
        handle.remove()
    return dict(clock.seconds) | backward_seconds(loss)


def backward_seconds(loss: Tensor) -> dict[str, float]:
    """Seconds that the gradients of convolutions take, told apart by their weights, and everything else."""
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if loss.is_cuda else [])]
    with profile(activities=activities, record_shapes=True) as profiler:
        synchronize(loss.device)
        began = time.perf_counter()
        loss.backward()
        synchronize(loss.device)
        whole = time.perf_counter() - began
    kinds = ("depthwise 7x7x7", "depthwise 5x5x5", "other convolutions")
    found = {f"{kind}, backward": 0.0 for kind in kinds}
    for event in profiler.key_averages(group_by_input_shape=True):
        if event.key == "aten::convolution_backward":
            _, inputs_per_group, *kernel = event.input_shapes[2]
            sides = "x".join(map(str, kernel))
            part = f"depthwise {sides}, backward" if inputs_per_group == 1 else ""
            spent = event.device_time_total if loss.is_cuda else event.cpu_time_total
            found[part if part in found else "other convolutions, backward"] += spent * 1e-6
    return found | {"all else, backward": whole - sum(found.values())}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs=3, default=[32, 32, 32], help="of the crop, multiples of 16")
    parser.add_argument("--width", type=int, default=48, help="channels of the first stage")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args(arguments)
    device = checked_device(options.device)
    torch.manual_seed(0)
    network = DKUXNet(channels=options.width).to(device)
    seconds = shares(network, torch.randn(options.batch, 1, *options.size, device=device))
    print(f"DK-UXNet, {options.width} channels, {options.batch} x {options.size}, {machine(device)}")
    print(f"{'seconds':>10}{'share':>8}  part of a training step")
    for part, spent in sorted(seconds.items(), key=lambda item: -item[1]):
        print(f"{spent:10.4f}{spent / sum(seconds.values()):8.1%}  {part}")
    coarse = [side // 2 for side in options.size]
    print(f"{'seconds':>10}{'':8}  depthwise convolution, {options.width} channels x {coarse}, forward + backward")
    for name, compute in CONVOLUTIONS.items():
        print(f"{convolution_seconds(compute, options.width, coarse, options):10.4f}{'':8}  {name}")


if __name__ == "__main__":
    main()
