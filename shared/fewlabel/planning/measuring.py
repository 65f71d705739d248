"""Measure planned settings on this machine and dataset."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import fewlabel
from fewlabel.planning.measured_run import OUT_OF_MEMORY
from fewlabel.planning.settings import Setting
from fewlabel.planning.step_cost import StepCost
from fewlabel.planning.template import Template


class OutOfMemoryError(ValueError):
    """The settings need more memory than this machine has."""


def measure_cost(
    template: Template,
    settings: Sequence[Setting],
    dataset: str | os.PathLike[str],
    labeled_cases: int | None = None,
    seed: int = 0,
) -> StepCost:
    """Run a few steps with the settings in a process of its own, and return what they cost.

    Nothing is left behind: caches go to a temporary folder.

    Args:
        template: the bundle's configs.
        settings: of the plan so far.
        dataset: the dataset's folder.
        labeled_cases: as for the training run.
        seed: as for the training run.

    Raises:
        OutOfMemoryError: the memory of the GPU or of the machine does not suffice.
        ValueError: the steps failed for another reason, which the message gives.
    """
    with tempfile.TemporaryDirectory(prefix="fewlabel-plan-") as name:
        folder = Path(name)
        overlay, request, result = (folder / f"{part}.json" for part in ("overlay", "request", "result"))
        overlay.write_text(json.dumps({**template.small, **{each.key: each.value for each in settings}}))
        places = {"output_dir": str(folder / "eval"), "ckpt_dir": str(folder / "models")}
        chosen = {"dataset_dir": os.path.abspath(dataset), "labeled_cases": labeled_cases, "seed": seed, **places}
        overrides = {key: value for key, value in chosen.items() if value is not None}
        request.write_text(json.dumps({"config_files": [str(template.file), str(overlay)], "overrides": overrides}))
        ended = subprocess.run(
            [sys.executable, "-m", "fewlabel.planning.measured_run", str(request), str(result)],
            env=_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode in (OUT_OF_MEMORY, -signal.SIGKILL):
            raise OutOfMemoryError(f"{template.bundle}: a training step needs more memory than there is")
        if ended.returncode != 0:
            raise ValueError(f"{template.bundle}: a training step with the planned settings failed: {_reason(ended)}")
        return StepCost(**json.loads(result.read_text(encoding="utf-8")))


def _environment() -> dict[str, str]:
    # the child imports this very package, also where it was found by the working directory
    own = str(Path(fewlabel.__file__).parents[1])
    paths = [own, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def _reason(ended: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in ended.stderr.splitlines() if line.strip()]
    return lines[-1] if lines else f"exit code {ended.returncode}"
