from __future__ import annotations

from pathlib import Path

import pytest
import torch

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
