"""Whether a device computes what the CPU computes: losses, k-means attention, networks and MCSC, with gradients.

    python tests/benchmarks/agreement.py --device cuda

The error is the length of the difference over the length of the reference, which is computed on the CPU in float32.
Rows marked float32 run without TF32; rows marked bfloat16 run under autocast, as the trainer does on CUDA.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from measure import checked_device, machine
from step import Setting, make_batch
from torch import Tensor, nn

from fewlabel.layers import kmax_attention
from fewlabel.losses import balanced_contrastive
from fewlabel.methods import MCSC
from fewlabel.networks import SwinUnet, UNet


@dataclass(frozen=True)
class Agreement:
    """How far a device is from the CPU, and how far it may be."""

    name: str
    error: float
    tolerance: float

    @property
    def ok(self) -> bool:
        return self.error <= self.tolerance

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "ok": self.ok}


Compute = Callable[[torch.device], list[Tensor]]


def contrast(device: torch.device, temperature: float, pixels: int) -> list[Tensor]:
    """Loss and gradient of three groups; at small temperatures the loss takes another way."""
    generator = torch.Generator().manual_seed(0)
    features = F.normalize(torch.randn(3, pixels, 128, generator=generator), dim=-1).to(device).requires_grad_()
    labels = torch.randint(4, (3, pixels), generator=generator).to(device)
    loss = balanced_contrastive(features, labels, temperature)
    loss.backward()
    return [loss.detach(), *_gradients([features])]


def kmax(device: torch.device, pixels: int) -> list[Tensor]:
    """Assignment, sums, and the gradient of the values."""
    generator = torch.Generator().manual_seed(0)
    queries, keys = (torch.randn(2, n, 64, generator=generator).to(device) for n in (32, pixels))
    values = torch.randn(2, pixels, 64, generator=generator).to(device).requires_grad_()
    updated, assignment = kmax_attention(queries, keys, values)
    updated.square().sum().backward()
    return [updated.detach(), F.one_hot(assignment, 32).float(), *_gradients([values])]


def network(device: torch.device, build: Callable[[], nn.Module], size: int, gradients: bool) -> list[Tensor]:
    """Logits, and the gradients of all parameters, without dropout."""
    torch.manual_seed(0)
    model = build().eval()
    image = torch.rand(2, 1, size, size)
    model, image = model.to(device), image.to(device)
    logits: Tensor = model(image)
    if not gradients:
        return [logits.detach().float()]
    F.cross_entropy(logits.float(), torch.zeros(2, size, size, dtype=torch.long, device=device)).backward()
    return [logits.detach().float(), *_gradients(model.parameters())]


def mcsc_terms(device: torch.device, size: int) -> list[Tensor]:
    """All terms of MCSC without dropout; the groups are dealt on the CPU, so every device has the same ones."""
    torch.manual_seed(0)
    cnn = UNet(norm="instance", dropout=(0.0,) * 5)
    transformer = SwinUnet(img_size=size, drop_path=0.0, head_kernel_size=3)
    method = MCSC(cnn, transformer, {1: 8, 8: size // 16}, groups_per_step=8).to(device)
    batch = {
        part: {key: value.to(device) for key, value in items.items()}
        for part, items in make_batch(Setting(size=size)).items()
    }
    torch.manual_seed(1)
    return [torch.stack(list(method(batch, 1.0).values())).detach()]


def checks(size: int, pixels: int) -> Iterator[tuple[str, Compute, float, bool]]:
    """Name, computation, tolerance, and whether under autocast."""
    for temperature in (0.1, 0.01):
        yield (
            f"balanced_contrastive, temperature {temperature}, loss and gradient, float32",
            partial(contrast, temperature=temperature, pixels=pixels), 1e-3, False,
        )  # fmt: skip
    yield "kmax_attention, sums, assignment and gradient, float32", partial(kmax, pixels=8 * pixels), 1e-2, False
    networks: dict[str, Callable[[], nn.Module]] = {"UNet": UNet, "SwinUnet": partial(SwinUnet, img_size=size)}
    for name, build in networks.items():
        compute = partial(network, build=build, size=size, gradients=True)
        yield f"{name}, logits and gradients, float32", compute, 1e-3, False
        yield f"{name}, logits, bfloat16", partial(network, build=build, size=size, gradients=False), 5e-2, True
    yield "MCSC, all terms, float32", partial(mcsc_terms, size=size), 1e-3, False
    yield "MCSC, all terms, bfloat16", partial(mcsc_terms, size=size), 5e-2, True


def agreements(device: torch.device, size: int = 224, pixels: int = 2888) -> Iterator[Agreement]:
    """Compare a device with the CPU, one computation after the other."""
    for name, compute, tolerance, autocast in checks(size, pixels):
        reference = compute(torch.device("cpu"))
        low: AbstractContextManager[Any] = torch.autocast(device.type, torch.bfloat16) if autocast else nullcontext()
        with _without_tf32(), low:
            results = compute(device)
        yield Agreement(name, max(map(_distance, results, reference)), tolerance)


def _gradients(leaves: Any) -> list[Tensor]:
    return [torch.cat([leaf.grad.flatten() for leaf in leaves])]


def _distance(result: Tensor, reference: Tensor) -> float:
    difference = (result.cpu().double() - reference.double()).norm() / reference.double().norm()
    return float(difference)


@contextmanager
def _without_tf32() -> Iterator[None]:
    """Convolutions and products of matrices in full float32."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def table(rows: list[Agreement]) -> str:
    lines = [f"{'error':>10}{'allowed':>10}       what"]
    lines += [f"{row.error:10.1e}{row.tolerance:10.0e}  {'ok  ' if row.ok else 'FAIL'} {row.name}" for row in rows]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--size", type=int, default=224, help="side of a slice, a multiple of 32")
    parser.add_argument("--pixels", type=int, default=2888, help="in a group of the contrast")
    options = parser.parse_args()
    device = checked_device(options.device)
    rows = list(agreements(device, options.size, options.pixels))
    print(f"against the CPU: {machine(device)}\n{table(rows)}")
    if not all(row.ok for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
