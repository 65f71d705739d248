from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from fewlabel.conventions import precision


@pytest.mark.parametrize(
    ("amp", "has", "expected"),
    [
        ("auto", True, True),
        ("auto", False, False),
        ("cuda", True, False),
        ("bfloat16", False, True),
        ("off", True, False),
    ],
)
def test_a_name_decides_with_what_the_cpu_has(amp: str, has: bool, expected: bool, monkeypatch) -> None:
    monkeypatch.setattr(precision, "cpu_has_bfloat16", lambda: has)
    assert precision.use_bfloat16(amp, "cpu") is expected


def test_another_name_is_refused() -> None:
    with pytest.raises(ValueError, match='amp must be "auto", "cuda", "bfloat16" or "off", got \'on\''):
        precision.use_bfloat16("on", "cpu")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("flags : fpu avx512_bf16 sse", True),
        ("flags : fpu amx_bf16", True),
        ("flags : fpu avx512f", False),
        ("", False),
    ],
)
def test_without_pytorchs_private_functions_the_flags_of_linux_tell(
    text: str, expected: bool, monkeypatch, tmp_path: Path
) -> None:
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    (tmp_path / "cpuinfo").write_text(f"processor : 0\n{text}\n")
    monkeypatch.setattr(precision, "_CPU_INFO", str(tmp_path / "cpuinfo"))
    assert precision.cpu_has_bfloat16() is expected
    monkeypatch.setattr(precision, "_CPU_INFO", str(tmp_path / "missing"))
    assert precision.cpu_has_bfloat16() is False


def test_tensors_of_half_precision_are_widened_wherever_they_are_and_gradients_return_as_they_came() -> None:
    half, double = torch.ones(2, dtype=torch.float16, requires_grad=True), torch.ones(2, dtype=torch.float64)

    @precision.in_float32
    def total(first: Tensor, others: list[Tensor], *, count: Tensor) -> Tensor:
        assert [one.dtype for one in (first, *others, count)] == [
            torch.float32,
            torch.float32,
            torch.float64,
            torch.int64,
        ]
        assert not torch.is_autocast_enabled("cpu")
        return (first * others[0]).sum()

    with torch.autocast("cpu", dtype=torch.bfloat16):
        total(half, [half.detach().bfloat16(), double], count=torch.tensor(3)).backward()
        assert torch.is_autocast_enabled("cpu")
    assert half.grad is not None
    assert half.grad.dtype == torch.float16
