"""The benchmark of inference runs, and both of its ways segment a scan alike."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
import torch


def test_the_bundle_and_the_bare_loop_give_the_same_labels(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    words = ["inference.py", "--shape", "20", "16", "3", "--repeats", "1", "--threads", "1", "--no-memory"]
    monkeypatch.setattr(sys, "argv", words)
    threads = torch.get_num_threads()
    importlib.import_module("inference").main()
    torch.set_num_threads(threads)
    out = capsys.readouterr().out
    assert "0 of 960 voxels differ" in out
    assert "ratio in network" in out
