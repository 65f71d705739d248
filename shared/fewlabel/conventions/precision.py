"""Where networks compute in bfloat16 by automatic mixed precision."""

from __future__ import annotations

import torch

AMP = ("auto", "cuda", "bfloat16", "off")
# PyTorch's own functions are private and differ between versions; Linux names the instructions in this file
_FLAGS = ("avx512_bf16", "amx_bf16")
_CPU_INFO = "/proc/cpuinfo"


def use_bfloat16(amp: str, device: torch.device | str) -> bool:
    """Return whether networks compute in bfloat16 on a device.

    Args:
        amp: "bfloat16"; "off"; "cuda" for CUDA devices that have it; or "auto" for those, and for CPUs with
            instructions for it, AVX512-BF16 or AMX.
        device: where the networks are.

    Raises:
        ValueError: ``amp`` is none of these.

    >>> use_bfloat16("off", "cpu"), use_bfloat16("bfloat16", "cpu")
    (False, True)
    """
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
