"""What each of two processes does for test_distributed.py: torchrun ... -m helpers.two_ranks <folder>."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from ignite.engine import Events
from monai.utils import set_determinism

from fewlabel.engines import CheckpointEvaluator, init_distributed, local_device, wrap_ddp
from fewlabel.handlers import CollapseAlarm, Progress
from helpers.remembering import Remembering
from helpers.small_training import Noisy, Recorder, StopAfter, evaluator, training
from helpers.tiny_cases import LABELS, Thresholds, case_evaluator

STEPS = 12  # four epochs of three


class Weights:
    """Keep the parameters after each step."""

    def __init__(self) -> None:
        self.steps: list[torch.Tensor] = []

    def attach(self, engine: Any) -> None:
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Any) -> None:
        self.steps.append(torch.cat([p.detach().flatten() for p in engine.method.parameters()]))


def train(folder: Path, dropout: float, method: Any = None, **settings: Any) -> dict[str, Any]:
    """Train on both ranks with half the batch each; return what this rank saw."""
    set_determinism(dist.get_rank())
    recorder, weights = Recorder(), Weights()
    trainer = training(
        folder,
        method=Noisy(dropout, norm=False) if method is None else method,
        batch_size=1,
        wrap=wrap_ddp,
        more_handlers=[recorder, weights, Progress(), *settings.pop("more_handlers", ())],
        **settings,
    )
    # training() seeds alike everywhere; what is drawn from here on must differ from rank to rank
    torch.manual_seed(100 + dist.get_rank())
    trainer.run()
    return {
        "seen": recorder.steps,
        "weights": torch.stack(weights.steps) if weights.steps else None,
        "generator": torch.get_rng_state(),
        "wrapped": type(trainer.method).__name__,
    }


def banked(folder: Path, **settings: Any) -> dict[str, Any]:
    """Train a method that keeps a bank; return also what it keeps, and what each step found in batch normalization."""
    set_determinism(dist.get_rank())  # the same initial weights each time
    method = Remembering()
    result = train(folder, 0.3, method, **settings)
    return {**result, "bank": method.bank.state_dict(), "means": torch.stack(method.means)}


def main(folder: Path) -> None:
    init_distributed()
    rank = dist.get_rank()
    # a folder per rank: only the main one's may come to be
    result: dict[str, Any] = {"device": str(local_device()), "backend": dist.get_backend()}
    result["plain"] = train(folder / f"plain{rank}", dropout=0.0)
    result["whole"] = train(folder / f"whole{rank}", dropout=0.3)
    try:
        train(folder / "pieces0", 0.3, more_handlers=[StopAfter(8)])
    except KeyboardInterrupt:
        dist.barrier()
    result["pieces"] = train(folder / "pieces0", 0.3, resume=True)

    result["banked"] = banked(folder / f"banked{rank}")
    try:
        banked(folder / "banked_pieces0", more_handlers=[StopAfter(8)])
    except KeyboardInterrupt:
        dist.barrier()
    result["banked_pieces"] = banked(folder / "banked_pieces0", resume=True)

    network = Thresholds()
    items = torch.load(folder / "items.pt")
    alarm = CollapseAlarm({0: "background", 1: "ring", 2: "core"}, patience=1)
    scores = case_evaluator(items, network, val_handlers=[alarm])
    if rank == 0:
        # late on purpose: the other rank must not look for it before it is there
        torch.save(Thresholds(0.3, 2.0).state_dict(), folder / "late.pt.unfinished")
        time.sleep(3)
        (folder / "late.pt.unfinished").rename(folder / "late.pt")
    run = CheckpointEvaluator(scores, network, {"best": folder / "late.pt"}, LABELS, folder / f"results{rank}", "Tiny")
    result["table"] = run.run()
    result["missing"] = alarm.missing

    validator = evaluator(torch.nn.Conv2d(1, 2, 1))
    torch.manual_seed(rank)
    validator.run()
    result["metric"] = float(validator.state.metrics["val_mean_dice"])
    torch.save(result, folder / f"rank{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
