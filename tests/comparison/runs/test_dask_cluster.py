from __future__ import annotations

import sys
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fewlabel.comparison.runs import dask_cluster
from fewlabel.comparison.runs.dask_cluster import do_on_cluster
from fewlabel.comparison.runs.records import RunFolder
from fewlabel.comparison.runs.run import Run
from fewlabel.comparison.runs.scheduler import do_runs
from helpers.fake_runs import FakeCommands, fake_run

RUNS = [fake_run("supervised"), fake_run("bcp"), fake_run("mcsc")]


class Client:
    """As much of Dask's as is asked of it, with threads for workers."""

    made: list[dict[str, Any]] = []  # noqa: RUF012

    def __init__(self, **options: Any) -> None:
        if options.get("address") == "tcp://nowhere:1":
            raise OSError("timed out")
        self.made.append(options)
        self.pool = ThreadPoolExecutor(options.get("n_workers", 2))

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        self.pool.shutdown()

    def submit(self, function: Any, *arguments: Any, key: str, pure: bool) -> Future[Any]:
        assert pure is False  # a run that failed before is to be done again
        return self.pool.submit(function, *arguments)


@pytest.fixture
def dask(monkeypatch: pytest.MonkeyPatch, commands: FakeCommands) -> None:
    module = ModuleType("dask.distributed")
    vars(module).update(Client=Client, as_completed=as_completed)
    monkeypatch.setitem(sys.modules, "dask", ModuleType("dask"))
    monkeypatch.setitem(sys.modules, "dask.distributed", module)
    Client.made.clear()

    def do(*arguments: Any, **options: Any) -> list[Run]:
        return do_runs(*arguments, commands=commands, **options)

    monkeypatch.setattr(dask_cluster, "do_runs", do)


@pytest.mark.usefixtures("dask")
def test_workers_do_the_runs_that_are_left(out: Path, commands: FakeCommands) -> None:
    do_runs(RUNS[:1], out, commands=commands, report=lambda line: None)
    commands.behavior = {RUNS[1].key: "fails"}
    said: list[str] = []
    counted: list[None] = []
    do_on_cluster(RUNS, out, "validation", 1, 2, None, lambda: counted.append(None), said.append)
    assert sorted(commands.calls()) == sorted(run.key for run in RUNS)
    assert len(counted) == 2
    assert said[0] == "1 of 3 runs are finished already"
    assert any("bcp/labeled_3/seed_0 failed: supervised is nan" in line for line in said)
    assert RunFolder(out, RUNS[2].key).is_finished("train")
    assert Client.made == [{"n_workers": 2, "threads_per_worker": 1}]


@pytest.mark.usefixtures("dask")
def test_a_scheduler_is_reached_at_its_address(out: Path) -> None:
    do_on_cluster(RUNS, out, "validation", 1, 2, "tcp://node:8786", report=lambda line: None)
    assert Client.made == [{"address": "tcp://node:8786"}]
    with pytest.raises(ValueError, match=r"--address tcp://nowhere:1: no Dask scheduler answers there \(timed out\)"):
        do_on_cluster(RUNS, out, "validation", 1, 2, "tcp://nowhere:1", report=lambda line: None)


@pytest.mark.usefixtures("dask")
def test_a_worker_that_is_lost_fails_its_run_alone(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(content: Any, *rest: Any) -> list[str]:
        if content["method"] == "bcp":
            raise RuntimeError("worker died")
        return ["done"]

    monkeypatch.setattr(dask_cluster, "do_one", lose)
    said: list[str] = []
    do_on_cluster(RUNS, out, "validation", 1, 2, report=said.append)
    assert sorted(said[1:]) == ["done", "done", "mine/bcp/labeled_3/seed_0 failed: RuntimeError('worker died')"]


def test_without_dask_the_way_out_is_named(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dask.distributed", None)
    with pytest.raises(ImportError, match=r"pip install \"\.\[cluster\]\""):
        do_on_cluster(RUNS, out, "validation", 1, 1)
