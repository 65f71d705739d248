"""Compare bundles: train each with several numbers of labels and seeds, and write one table."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from fewlabel.comparison.clean_split import find_held_out_doubles
from fewlabel.comparison.folder import Comparison, choose_baseline, read_comparison
from fewlabel.comparison.runs.commands import BundleCommands, Commands
from fewlabel.comparison.runs.dask_cluster import do_on_cluster
from fewlabel.comparison.runs.grid import make_runs, read_specification
from fewlabel.comparison.runs.provenance import cores
from fewlabel.comparison.runs.records import RUNS, RunFolder
from fewlabel.comparison.runs.run import Run
from fewlabel.comparison.runs.scheduler import do_runs
from fewlabel.comparison.runs.slurm import write_sbatch
from fewlabel.stopping import when_stopped

SPLITS = ("validation", "test")
SCHEDULERS = ("local", "slurm", "dask")
_OF_COMPARISON = ("baseline", "split")


def compare(
    out: str | os.PathLike[str],
    specification: Mapping[str, Any] | str | os.PathLike[str] | None = None,
    *,
    baseline: str | None = None,
    split: str | None = None,
    processes: int = 1,
    threads: int | None = None,
    minutes: float | None = None,
    scheduler: str = "local",
    address: str | None = None,
    only: str | None = None,
    report_only: bool = False,
    clean_split: bool = False,
    command: str = "",
    commands: Commands | None = None,
) -> Path:
    """Do what is left of a comparison, and write its tables, also after each run.

    Killed at any moment and started again it repeats nothing that was finished.

    Args:
        out: the folder of the comparison: runs, CSV files, ``compare.md``, ``compare.html``, ``lift.png``.
        specification: what to compare, see :func:`fewlabel.comparison.runs.grid.make_runs`, besides ``baseline`` and
            ``split``; or its file. None goes on with what the folder holds.
        baseline: the row that others are compared with; `supervised` or `vnet` by default, else the first.
        split: the cases to score, "validation" unless "test" is asked for.
        processes: runs at a time.
        threads: of each run; the cores divided by ``processes`` by default.
        minutes: after so many no run is begun.
        scheduler: "local" for this machine, "dask" for a Dask cluster, "slurm" to write an array's script.
        address: of Dask's scheduler; a cluster on this machine by default.
        only: do the one run of this name, and write no tables.
        report_only: do no run.
        clean_split: show the tables once more without scored patients who have a double among the training scans.
        command: what was typed, for the tables.
        commands: where the commands come from; the bundles' by default.

    Returns:
        The Markdown file of the tables; with ``only`` the run's folder, for "slurm" the script.

    Raises:
        FileNotFoundError: a bundle, an overlay, a dataset or the comparison is not there.
        ValueError: something is wrong with what is asked for; nothing was run.
    """
    folder = Path(out).absolute()
    known = read_comparison(folder)
    given = read_specification(specification) if isinstance(specification, str | os.PathLike) else specification
    given = dict(given or {})
    asked = {key: given.pop(key, None) for key in _OF_COMPARISON}
    split = _split(split or asked["split"])
    _require_counts(processes, threads, minutes)
    _require_scheduler(scheduler, address, minutes)
    new = make_runs(given) if given else list(known.runs)
    every = {run.key: run for run in (*known.runs, *new)}
    methods = [run.method for run in every.values()]
    if methods:
        chosen = choose_baseline(methods, baseline or asked["baseline"] or known.baseline or None)
        known = replace(known, runs=list(every.values()), baseline=chosen, command=command or known.command)
    if report_only:
        return _with_doubles(known, split, clean_split).write_tables(split)
    if not new:
        raise ValueError(f"{folder} holds no comparison yet: give --bundles and --dataset_dir, or a file")
    commands = commands or BundleCommands()
    if only is not None:
        new = [_named(new, only)]
    _require_sound(new, folder, commands)
    threads = threads or max(1, cores() // processes)
    if only is not None:
        with _ended_by_signals(), when_stopped(_goes_on):
            do_runs(new, folder, split, threads=threads, commands=commands, report=_say)
        return RunFolder(folder, only).path
    (folder / RUNS).mkdir(parents=True, exist_ok=True)
    known.save()
    if scheduler == "slurm":
        return write_sbatch(new, folder, split, threads, processes)

    def after_each() -> None:
        known.write_tables(split)

    with _ended_by_signals(), when_stopped(_goes_on):
        if scheduler == "dask":
            do_on_cluster(new, folder, split, threads, processes, address, after_each, _say)
        else:
            do_runs(new, folder, split, processes, threads, minutes, commands, after_each, _say)
    return _with_doubles(known, split, clean_split).write_tables(split)


def _with_doubles(known: Comparison, split: str, clean_split: bool) -> Comparison:
    if not clean_split:
        return known
    datasets = {run.dataset: run.dataset_dir for run in known.runs}
    return replace(known, doubles=find_held_out_doubles(known.out, datasets, split))


def _goes_on() -> str:
    return "the same command goes on where it was"


def _say(line: str) -> None:
    print(line, flush=True)


def _split(split: Any) -> str:
    if split not in (None, *SPLITS):
        raise ValueError(f"split is {split!r}; expected validation or test")
    return str(split or "validation")


def _require_counts(processes: Any, threads: Any, minutes: Any) -> None:
    for name, value in (("processes", processes), ("threads", threads)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise ValueError(f"{name} is {value!r}; expected a whole number, 1 or more")
    if minutes is not None and (isinstance(minutes, bool) or not isinstance(minutes, int | float) or minutes < 0):
        raise ValueError(f"minutes is {minutes!r}; expected a number, 0 or more")


def _require_scheduler(scheduler: str, address: str | None, minutes: float | None) -> None:
    if scheduler not in SCHEDULERS:
        raise ValueError(f"scheduler is {scheduler!r}; expected one of {', '.join(SCHEDULERS)}")
    if address is not None and scheduler != "dask":
        raise ValueError(f"--address {address} is that of Dask's scheduler: give --scheduler dask too")
    if minutes is not None and scheduler != "local":
        raise ValueError("--minutes holds for runs on this machine: limit the time of a cluster's tasks there")


def _named(runs: Sequence[Run], key: str) -> Run:
    for run in runs:
        if run.key == key:
            return run
    raise ValueError(f"--only {key}: no such run; the first is {runs[0].key}")


def _require_sound(runs: Sequence[Run], folder: Path, commands: Commands) -> None:
    """Find what would stop a run in its first seconds before hours of others."""
    seen: set[Any] = set()
    for run in runs:
        data = (run.dataset_dir, run.labeled_cases)
        if data not in seen:
            commands.labeled(run)
        config = (run.dataset_dir, run.bundle, run.overlays, tuple(run.options.items()))
        if config not in seen:
            try:
                commands.config(run, RunFolder(folder, run.key))
            except ValueError as error:
                raise ValueError(f"{run.method}: {error}") from error
        seen |= {data, config}


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let a request to end stop the runs first, which save their state after every epoch."""
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:  # the command line's, see stop_at_signals
        yield
        return

    def end(number: int, frame: Any) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
