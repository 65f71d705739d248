"""A comparison as a SLURM array: a task for each run that is left."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import fewlabel
from fewlabel.atomic import atomic_write
from fewlabel.comparison.runs.records import RunFolder
from fewlabel.comparison.runs.run import Run
from fewlabel.comparison.runs.scheduler import stages_of

_SCRIPT = """\
#!/bin/bash
# Options on the command line win over those below: sbatch --gpus 1 --time 8:00:00 {name}
# When all tasks have ended: fewlabel compare --out {out} --report_only true{split}
#SBATCH --job-name fewlabel-compare
#SBATCH --array 0-{last}{limit}
#SBATCH --cpus-per-task {threads}
#SBATCH --output {log}
#SBATCH --requeue
export PYTHONPATH={package}${{PYTHONPATH:+:$PYTHONPATH}}
runs=(
{runs}
)
exec {python} -m fewlabel compare --out {out} --only "${{runs[$SLURM_ARRAY_TASK_ID]}}" --threads {threads}{split}
"""


def write_sbatch(
    runs: Sequence[Run], out: Path, split: str, threads: int, processes: int, python: str = sys.executable
) -> Path:
    """Write ``compare.sbatch`` for the runs that are left; a task that is stopped goes on when it is submitted again.

    Args:
        runs: all runs.
        out: the comparison's folder, where all nodes see it.
        split: what is scored.
        threads: of each run.
        processes: how many tasks at a time; as many as the cluster gives when 1.
        python: that runs the tasks.

    Returns:
        The script.

    Raises:
        ValueError: all runs are finished.
    """
    stages = stages_of(split)
    left = [run.key for run in runs if not all(RunFolder(out, run.key).is_finished(stage) for stage in stages)]
    if not left:
        raise ValueError(f"{out}: all {len(runs)} runs are finished; write the tables with --report_only true")
    file = out / "compare.sbatch"
    (out / "slurm").mkdir(parents=True, exist_ok=True)
    script = _SCRIPT.format(
        name=shlex.quote(str(file)),
        out=shlex.quote(str(out)),
        last=len(left) - 1,
        limit=f"%{processes}" if processes > 1 else "",
        threads=threads,
        log=_escaped(out / "slurm" / "%A_%a.txt"),
        package=shlex.quote(str(Path(fewlabel.__file__).parents[1])),
        runs="\n".join(f"  {shlex.quote(key)}" for key in left),
        python=shlex.quote(python),
        split="" if split == "validation" else f" --split {split}",
    )
    return atomic_write(file, script.encode())


def _escaped(path: Path) -> str:
    """A path as an `#SBATCH` line takes it."""
    return os.fspath(path).replace("\\", "\\\\").replace(" ", "\\ ")
