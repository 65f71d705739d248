"""A comparison of real, tiny training runs that is killed in the middle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from helpers.paths import environment

KEYS = [f"cardiac/{bundle}/labeled_2/seed_0" for bundle in ("supervised", "cts")]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_while_it_trains_it_resumes_that_run_and_repeats_none(phantom: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = [sys.executable, "-m", "fewlabel", "compare", "--bundles", "supervised,cts", "--labeled_cases", "2"]
    words += ["--dataset_dir", str(phantom), "--with", "small", "--out", str(out), "--num_workers", "0"]
    words += ["--paper#size", "64", "--paper#steps", "12", "--paper#steps_per_epoch", "2"]
    killed = subprocess.Popen(words, env=environment())
    second = out / "runs" / KEYS[1]
    _wait_for(second / "models" / "training_state.pt", killed)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    first = (out / "runs" / KEYS[0] / "train.json").stat().st_mtime_ns
    assert not (second / "train.json").exists()
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, check=True)
    assert "1 of 2 runs are finished already" in done.stdout
    assert (out / "runs" / KEYS[0] / "train.json").stat().st_mtime_ns == first
    note = json.loads((second / "train.json").read_text())
    assert (note["status"], note["attempts"]) == ("finished", 2)
    assert "--resume" in note["command"]
    assert "resumed after epoch" in (second / "log.txt").read_text()
    history = [json.loads(line) for line in (second / "eval" / "history.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in history] == list(range(1, 7))
    text = (out / "compare.md").read_text()
    assert all(f"| 2 | {bundle} | 1 | 0." in text for bundle in ("supervised", "cts"))
    # all training runs share what they preprocessed
    assert not list(out.glob("runs/**/cache"))
    assert len(os.listdir(out / "cache")) > 0


def _wait_for(file: Path, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 900
    while not file.exists():
        assert process.poll() is None, "it ended by itself"
        assert time.monotonic() < until
        time.sleep(0.05)
