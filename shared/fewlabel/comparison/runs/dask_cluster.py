"""The runs of a comparison on a Dask cluster."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fewlabel.comparison.runs.records import RunFolder
from fewlabel.comparison.runs.run import Run
from fewlabel.comparison.runs.scheduler import do_runs, stages_of


def do_one(content: Mapping[str, Any], out: str, split: str, threads: int) -> list[str]:
    """Do one run on a worker, and return what there is to say."""
    said: list[str] = []
    do_runs([Run.from_dict(content)], Path(out), split, threads=threads, report=said.append)
    return said


def do_on_cluster(
    runs: Sequence[Run],
    out: Path,
    split: str,
    threads: int,
    processes: int,
    address: str | None = None,
    after_each: Callable[[], None] = lambda: None,
    report: Callable[[str], None] = print,
) -> None:
    """Do what is left of the runs on the workers of a Dask cluster, which see the same folders as this machine.

    Args:
        runs: all runs.
        out: the comparison's folder.
        split: what is scored.
        threads: of each run.
        processes: workers of a cluster on this machine, where no address is given.
        address: of the scheduler, as ``tcp://node1:8786``.
        after_each: is called when a run has ended.
        report: takes a line for a person.

    Raises:
        ImportError: Dask is not installed.
        ValueError: nothing answers at the address.
    """
    distributed = _distributed()
    stages = stages_of(split)
    left = [run for run in runs if not all(RunFolder(out, run.key).is_finished(stage) for stage in stages)]
    report(f"{len(runs) - len(left)} of {len(runs)} runs are finished already")
    try:
        given = {"address": address} if address else {"n_workers": processes, "threads_per_worker": 1}
        client = distributed.Client(**given)
    except OSError as error:
        raise ValueError(f"--address {address}: no Dask scheduler answers there ({error})") from error
    with client:
        futures = {
            client.submit(do_one, run.as_dict(), str(out), split, threads, key=f"{run.key}-{split}", pure=False): run
            for run in left
        }
        for future in distributed.as_completed(futures):
            failure = future.exception()  # of the worker; a run that fails is noted by itself
            lines = future.result() if failure is None else [f"{futures[future].key} failed: {failure!r}"]
            for line in lines:
                report(line)
            after_each()


def _distributed() -> Any:
    try:
        return importlib.import_module("dask.distributed")
    except ImportError as error:
        raise ImportError(
            'Dask is not installed: pip install ".[cluster]", or leave --scheduler out to run on this machine'
        ) from error
