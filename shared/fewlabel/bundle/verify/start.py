"""Run a bundle's checks in a process of their own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import fewlabel
from fewlabel.bundle.verify import running
from fewlabel.bundle.verify.report import FAILED, OK, Finding

_TIME_LIMIT = 900
_FIXES = {
    "code of the bundle was run": "pack it again with `fewlabel pack`",
    "network in and out": "make network_def of inference.json and network_data_format of metadata.json agree",
    "weights in model.pt fit": "pack the weights of this network_def, with the model.json that was saved beside them",
    "weights in model_second.pt fit": "pack the weights of this second_network_def, from the run that wrote model.pt",
    "properties of inference": "define what is named in inference.json",
    "properties of train": "define what is named in train.json",
    "nothing is written into the bundle": "let configs write below output_dir and ckpt_dir only",
}


def run_in_process(root: Path) -> list[Finding]:
    """Return the findings of :mod:`fewlabel.bundle.verify.running` on a bundle's folder.

    Its package comes first on the import path, before one that is installed. The working directory, user packages and
    ``PYTHON...`` variables have no say.
    """
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "outcomes.json"
        scratch = Path(folder) / "scratch"
        scratch.mkdir()
        package = str(Path(fewlabel.__file__).parents[1])
        # -B: compiled files would be written into the bundle
        command = [sys.executable, "-I", "-B", running.__file__, str(root), str(scratch), package, str(result)]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_TIME_LIMIT, check=False)
        except subprocess.TimeoutExpired:
            return [Finding("--run", FAILED, f"not done after {_TIME_LIMIT} seconds", "see which config takes so long")]
        try:
            outcomes = json.loads(result.read_text(encoding="utf-8"))
            return [finding(*map(str, outcome)) for outcome in outcomes]
        except (OSError, ValueError, TypeError):
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            return [
                Finding("--run", FAILED, f"ended with exit code {done.returncode}: {last}", "run its configs alone")
            ]


def finding(check: str, fault: str, detail: str) -> Finding:
    """Return an outcome as a row of the table."""
    if not fault:
        return Finding(check, OK, detail)
    return Finding(check, FAILED, fault, _FIXES.get(check, "run the bundle's configs alone to see more"))
