"""Where networks compute in bfloat16 by automatic mixed precision, and what stays in float32 meanwhile."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")
AMP = ("auto", "cuda", "bfloat16", "off")
# PyTorch's own functions are private and differ between versions; Linux names the instructions in this file
_FLAGS = ("avx512_bf16", "amx_bf16")
_CPU_INFO = "/proc/cpuinfo"


def use_bfloat16(amp: bool | str | None, device: torch.device | str) -> bool:
    """Return whether networks compute in bfloat16 on a device.

    Args:
        amp: "bfloat16"; "off"; "cuda" for CUDA devices that have it; or "auto" for those, and for CPUs with
            instructions for it, AVX512-BF16 or AMX. True and False are the first two, None is "cuda".
        device: where the networks are.

    Raises:
        ValueError: ``amp`` is none of these.

    >>> use_bfloat16("off", "cpu"), use_bfloat16("bfloat16", "cpu")
    (False, True)
    """
    if isinstance(amp, bool):
        amp = "bfloat16" if amp else "off"
    amp = "cuda" if amp is None else amp
    if amp not in AMP:
        raise ValueError(f'amp must be "auto", "cuda", "bfloat16" or "off", got {amp!r}')
    if amp in ("bfloat16", "off"):
        return amp == "bfloat16"
    kind = torch.device(device).type
    if kind == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return amp == "auto" and kind == "cpu" and cpu_has_bfloat16()


def cpu_has_bfloat16() -> bool:
    """Return whether this CPU multiplies matrices of bfloat16; False where nothing tells."""
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        supported = getattr(torch.cpu, name, None)
        if supported is not None and supported():
            return True
    try:
        with open(_CPU_INFO, encoding="utf-8") as lines:
            flags = next((line.split() for line in lines if line.startswith("flags")), [])
    except OSError:  # no Linux
        return False
    return any(flag in flags for flag in _FLAGS)


def as_evaluated(evaluator: Any, network: Callable[..., Any]) -> Callable[..., Any]:
    """Return a network as an evaluator runs it: in the evaluator's mixed precision, and with logits in float32.

    Autocast ends with the network, so that what an inferer or postprocessing does with the logits is not rounded.

    Args:
        evaluator: one of MONAI's, whose mixed precision is that of CUDA devices, or one that has an ``amp_device``.
        network: the evaluator's own, or one to compare with.
    """
    if not evaluator.amp:
        return network
    device_type = getattr(evaluator, "amp_device", "cuda")

    def run(*args: Any, **kwargs: Any) -> Any:
        with torch.autocast(device_type, **evaluator.amp_kwargs):
            found = network(*args, **kwargs)
        return _widened(found)

    return run


def in_float32(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Decorate a function of tensors, such as a loss, so that it computes in float32, under autocast too.

    Half precision cannot hold the sums of a loss, or similarities that a small temperature has multiplied. Tensors of
    half precision among the arguments, or in their lists and tuples, are given to the function in float32; wider ones
    are left as they are. Gradients come back in the precision of the argument.

    >>> product = in_float32(torch.matmul)
    >>> with torch.autocast("cpu", dtype=torch.bfloat16):
    ...     product(torch.tensor([257.0]), torch.tensor([1.0]))  # in bfloat16 it would be 256
    tensor(257.)
    >>> product(torch.ones(1).bfloat16(), torch.ones(1).bfloat16()).dtype
    torch.float32
    """

    @functools.wraps(function)
    def wide(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        first = next(_tensors((*args, *kwargs.values())), None)
        with torch.autocast("cpu" if first is None else first.device.type, enabled=False):
            named = {key: _widened(value) for key, value in kwargs.items()}
            return function(*(_widened(value) for value in args), **named)

    return wide


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _tensors(inner)


def _widened(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.float() if value.dtype in (torch.float16, torch.bfloat16) else value
    return type(value)(map(_widened, value)) if type(value) in (list, tuple) else value
