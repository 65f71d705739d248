from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.utils import set_determinism
from torch import nn

from fewlabel.engines import init_distributed, local_device, wrap_ddp
from helpers import tiny_cases
from helpers.paths import environment
from helpers.small_training import Noisy, Recorder, differences, training


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """Run two_ranks.py on two processes, once; return its folder and what each rank reports."""
    folder = tmp_path_factory.mktemp("ranks")
    torch.save(tiny_cases.write_cases(folder), folder / "items.pt")
    program = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "helpers.two_ranks"]
    done = subprocess.run(
        [sys.executable, *program, str(folder)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=800,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, [torch.load(folder / f"rank{rank}.pt", weights_only=False) for rank in range(2)]


def test_on_a_machine_without_cuda_the_processes_talk_over_gloo(ranks: tuple[Path, list[dict[str, Any]]]) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    _, results = ranks
    for result in results:
        assert (result["device"], result["backend"]) == ("cpu", "gloo")
        assert result["plain"]["wrapped"] == "DistributedDataParallel"


def test_both_ranks_hold_equal_weights_after_every_step(ranks: tuple[Path, list[dict[str, Any]]]) -> None:
    _, (first, second) = ranks
    for run in ("plain", "whole", "pieces"):
        assert torch.equal(first[run]["weights"], second[run]["weights"])
    steps = first["whole"]["weights"]
    assert all(not torch.equal(a, b) for a, b in itertools.pairwise(steps))


def test_two_ranks_of_half_a_batch_equal_one_process_of_the_whole(
    ranks: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    _, results = ranks
    recorder = Recorder()
    set_determinism(0)
    trainer = training(tmp_path, method=Noisy(0.0, norm=False), batch_size=2, more_handlers=[recorder])
    trainer.run()
    alone = torch.cat([parameter.detach().flatten() for parameter in trainer.method.parameters()])
    assert torch.allclose(alone, results[0]["plain"]["weights"][-1], rtol=0, atol=1e-5)
    for number, step in enumerate(recorder.steps):
        for stream in ("labeled", "unlabeled"):
            shares = [result["plain"]["seen"][number][stream] for result in results]
            assert step[stream] == shares[0] + shares[1]
            assert shares[0] != shares[1]
        losses = [result["plain"]["seen"][number]["loss"] for result in results]
        assert step["loss"] == pytest.approx(sum(losses) / 2, abs=1e-5)


def test_only_the_main_process_writes(ranks: tuple[Path, list[dict[str, Any]]]) -> None:
    folder, results = ranks
    for run in ("plain", "whole"):
        assert {path.name for path in (folder / f"{run}0").iterdir()} == {
            "history.jsonl", "model.json", "model.pt", "model_last.json", "model_last.pt", "training_state.pt",
        }  # fmt: skip
        assert not (folder / f"{run}1").exists()
    assert (folder / "results0" / "report.html").exists()
    assert not (folder / "results1").exists()
    assert "best checkpoint, strict protocol: 3 volumes of 3 cases" in results[0]["table"]
    assert results[1]["table"] == ""


def test_a_resumed_training_equals_one_that_never_stopped_on_both_ranks(
    ranks: tuple[Path, list[dict[str, Any]]],
) -> None:
    folder, results = ranks
    for result in results:
        # stopped in the third epoch: the pieces go on behind the sixth step
        assert result["pieces"]["seen"] == result["whole"]["seen"][6:]
        assert torch.equal(result["pieces"]["weights"], result["whole"]["weights"][6:])
        assert torch.equal(result["pieces"]["generator"], result["whole"]["generator"])
    assert not torch.equal(results[0]["whole"]["generator"], results[1]["whole"]["generator"])
    states = [torch.load(folder / f"{run}0" / "training_state.pt", weights_only=True) for run in ("whole", "pieces")]
    assert differences(*states) == []
    assert len(states[0]["random"]) == 2


def test_each_rank_fills_a_bank_of_its_own_while_batch_normalization_follows_the_main_one(
    ranks: tuple[Path, list[dict[str, Any]]],
) -> None:
    _, (first, second) = ranks
    for run in ("banked", "banked_pieces"):
        assert torch.equal(first[run]["weights"], second[run]["weights"])
        assert torch.equal(first[run]["means"], second[run]["means"])
        assert not torch.equal(first[run]["bank"]["features"], second[run]["bank"]["features"])
    # statistics do move, so that being equal means something
    assert not torch.equal(first["banked"]["means"][0], first["banked"]["means"][-1])


def test_a_resumed_training_gives_each_rank_its_own_bank_back(ranks: tuple[Path, list[dict[str, Any]]]) -> None:
    folder, results = ranks
    for result in results:
        assert result["banked_pieces"]["seen"] == result["banked"]["seen"][6:]
        assert torch.equal(result["banked_pieces"]["weights"], result["banked"]["weights"][6:])
        assert differences(result["banked_pieces"]["bank"], result["banked"]["bank"]) == []
    runs = ("banked0", "banked_pieces0")
    states = [torch.load(folder / run / "training_state.pt", weights_only=True) for run in runs]
    assert differences(*states) == []
    assert [list(banks) for banks in states[0]["banks"]] == [[], ["bank"]]


def test_one_process_cannot_continue_what_two_began(ranks: tuple[Path, list[dict[str, Any]]]) -> None:
    folder, _ = ranks
    with pytest.raises(ValueError, match=r"training_state.pt: made by 2 processes, this run has 1"):
        training(folder / "whole0", resume=True, method=Noisy(0.3, norm=False), batch_size=1).run()


def test_validation_is_gathered_from_all_processes(ranks: tuple[Path, list[dict[str, Any]]]) -> None:
    _, (first, second) = ranks
    assert first["metric"] == second["metric"]
    assert first["missing"] == second["missing"] == {"ring": 0, "core": 1}


def test_synchronized_batch_normalization_on_the_cpu_is_an_error() -> None:
    with pytest.raises(ValueError, match="sync_batch_norm needs CUDA devices; leave it false on the CPU"):
        wrap_ddp(nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1)), sync_batch_norm=True)


def test_a_program_started_without_torchrun_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(ValueError, match="needs torchrun: torchrun --nproc_per_node 2"):
        init_distributed()


def test_without_cuda_the_device_is_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert local_device() == torch.device("cpu")
