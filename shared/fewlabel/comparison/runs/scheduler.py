"""Do the runs of a comparison, several at a time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from fewlabel.comparison.runs.commands import BundleCommands, Commands
from fewlabel.comparison.runs.job import Busy, Job
from fewlabel.comparison.runs.records import RunFolder, Stage, require_same_request
from fewlabel.comparison.runs.run import Run

_TICK = 0.1  # seconds between two looks at the processes
_WAIT = 5.0  # seconds before a run that is worked on elsewhere is tried again


def stages_of(split: str) -> list[Stage]:
    """Return what a run consists of for the scores of a split."""
    return ["train", "test"] if split == "test" else ["train"]


def do_runs(
    runs: Sequence[Run],
    out: Path,
    split: str = "validation",
    processes: int = 1,
    threads: int = 1,
    minutes: float | None = None,
    commands: Commands | None = None,
    after_each: Callable[[], None] = lambda: None,
    report: Callable[[str], None] = print,
) -> list[Run]:
    """Do what is left of the runs, in their order; one that fails is noted and the others go on.

    Several calls, also on several machines, may work on one folder: each takes what no other works on.

    Args:
        runs: all runs.
        out: the comparison's folder.
        split: what is scored, "validation" or "test".
        processes: how many runs at a time.
        threads: of each run.
        minutes: after so many no run is begun.
        commands: where the commands come from; the bundles' by default.
        after_each: is called when a run has ended.
        report: takes a line for a person.

    Returns:
        The runs that are left because the time was up.

    Raises:
        ValueError: a run was begun in this folder with other settings; nothing is done then.
    """
    commands = commands or BundleCommands()
    until = None if minutes is None else time.monotonic() + 60 * minutes
    stages = stages_of(split)
    for run in runs:
        require_same_request(RunFolder(out, run.key), run)
    waiting = deque(run for run in runs if not _is_done(run, out, stages))
    if done := len(runs) - len(waiting):
        report(f"{done} of {len(runs)} runs are finished already")
    busy: deque[Run] = deque()
    jobs: list[Job] = []
    try:
        while waiting or busy or jobs:
            if until is not None and time.monotonic() > until and (waiting or busy):
                report(f"the {minutes:g} minutes are over: {len(waiting) + len(busy)} runs are not begun")
                left = [*waiting, *busy]
                waiting.clear()
                busy.clear()
                _finish(jobs, after_each, report)
                return left
            while waiting and len(jobs) < processes:
                _begin(waiting.popleft(), jobs, busy, lambda run: Job(run, out, stages, threads, commands), report)
            _look(jobs, after_each, report)
            if busy and not waiting and not jobs:
                time.sleep(_WAIT)
                waiting.extend(run for run in busy if not _is_done(run, out, stages))
                busy.clear()
            time.sleep(_TICK if jobs else 0)
    finally:
        for job in jobs:
            job.stop()
    return []


def _is_done(run: Run, out: Path, stages: Sequence[Stage]) -> bool:
    return all(RunFolder(out, run.key).is_finished(stage) for stage in stages)


def _begin(
    run: Run, jobs: list[Job], busy: deque[Run], make: Callable[[Run], Job], report: Callable[[str], None]
) -> None:
    try:
        job = make(run)
    except Busy:
        busy.append(run)
        return
    report(f"{time.strftime('%H:%M')} begins {run.key}")
    jobs.append(job)


def _look(jobs: list[Job], after_each: Callable[[], None], report: Callable[[str], None]) -> None:
    for job in [job for job in jobs if job.poll()]:
        jobs.remove(job)
        how = f"failed: {job.message}" if job.message else "is finished"
        report(f"{time.strftime('%H:%M')} {job.run.key} {how}")
        after_each()


def _finish(jobs: list[Job], after_each: Callable[[], None], report: Callable[[str], None]) -> None:
    while jobs:
        _look(jobs, after_each, report)
        time.sleep(_TICK)
