"""The benchmarks run and keep what they measured; their figures are no business of a test."""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

TRAINING = """#!/bin/sh
while [ "$1" != "--output_dir" ]; do shift; done
mkdir -p "$2"
echo '{"epoch": 1, "step": 100, "loss": 0.5, "validation": {"mean_dice": 0.75}}' > "$2/history.jsonl"
"""


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    threads = torch.get_num_threads()
    yield importlib.import_module("gpu")
    torch.set_num_threads(threads)


def written(folder: Path) -> dict[str, Any]:
    results: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return results


def test_the_gpu_program_measures_everything_on_a_cpu_too(gpu: ModuleType, tmp_path: Path) -> None:
    gpu.main(["--device", "cpu", "--seconds", "600", "--out", str(tmp_path)])

    agreement, speed, steps = written(tmp_path)["sections"]
    assert all(row["ok"] for row in agreement["rows"])
    assert all(seconds > 0 for row in speed["rows"] for seconds in row["seconds"].values())
    shares = {row["method"]: row["shares"] for row in steps["rows"]}
    assert list(shares) == ["supervised", "swin_unet", "cs_unet", "cts", "mcsc", "mcsc_v2", "drawn"]
    for row in steps["rows"]:
        assert row["seconds"] > 0
        assert sum(row["shares"].values()) == pytest.approx(1)
    assert "contrastive" not in shares["cts"]
    for name in ("mcsc", "mcsc_v2", "drawn"):
        assert set(shares[name]) == {*shares["cts"], "contrastive"}
    assert "mcsc / cts" in (tmp_path / "results.md").read_text()
    assert "mcsc_v2 / cts" in (tmp_path / "results.md").read_text()


def test_sections_without_time_are_skipped_and_say_so(gpu: ModuleType, tmp_path: Path) -> None:
    gpu.run("a machine", tmp_path, gpu.Budget(0.0), {"One": lambda: pytest.fail("it ran")}, least=1.0)

    assert written(tmp_path)["sections"][0]["note"] == "Skipped: no time was left."


def test_a_section_that_fails_leaves_what_it_measured_and_the_next_one_runs(gpu: ModuleType, tmp_path: Path) -> None:
    def failing() -> Iterator[Any]:
        yield gpu.Section("One", [{"seconds": 1.0}])
        raise RuntimeError("out of memory")

    plans = {"One": failing, "Two": lambda: iter([gpu.Section("Two", [{"seconds": 2.0}])])}

    assert gpu.run("a machine", tmp_path, gpu.Budget(60.0), plans, least=1.0) == 1
    one, two = written(tmp_path)["sections"]
    assert one["rows"] == [{"seconds": 1.0}]
    assert "Failed: RuntimeError: out of memory" in one["note"]
    assert two["rows"] == [{"seconds": 2.0}]


@pytest.mark.parametrize(
    ("last_words", "end"),
    [("sleep 60", "stopped when its time was over"), ("exit 3", "failed with exit code 3"), ("", "finished")],
)
def test_a_training_ends_in_time_and_its_history_is_kept(
    gpu: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last_words: str, end: str
) -> None:
    program = tmp_path / "python"
    program.write_text(TRAINING + last_words)
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    began = time.monotonic()

    row = gpu.train("mcsc", tmp_path, tmp_path, torch.device("cpu"), True, 8.0)

    assert row["end"] == end
    assert row["history"][-1]["validation"]["mean_dice"] == 0.75
    assert time.monotonic() - began < 50


def test_without_a_cuda_device_the_program_says_how_to_go_on(
    gpu: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    with pytest.raises(SystemExit, match=r"no CUDA device .* --device cpu"):
        gpu.main(["--seconds", "5", "--out", str(tmp_path)])


@pytest.mark.parametrize(
    ("options", "message"), [(["--seconds", "0"], "must be positive"), (["--data", "."], "no dataset.json")]
)
def test_arguments_that_cannot_work_are_errors(
    gpu: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    with pytest.raises(SystemExit):
        gpu.main(["--device", "cpu", "--out", str(tmp_path), "--seconds", "5", *options])

    assert message in capsys.readouterr().err
