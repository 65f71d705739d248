"""Take a few real steps of a training run; `python -m fewlabel.planning.measured_run REQUEST RESULT` is a process."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from fewlabel.errors import one_line, user_facing_cause

OUT_OF_MEMORY = 3  # exit code
STEPS, WARM_UP = 8, 3
_VOLUMES = 2  # read of each stream


def measure(config_files: list[str], overrides: Mapping[str, Any], started: float) -> dict[str, Any]:
    """Return the costs of a bundle's training run, see :class:`fewlabel.planning.StepCost`.

    Args:
        config_files: `train.json` and the overlays.
        overrides: values by key, such as `dataset_dir`.
        started: `time.perf_counter()` when the process began.
    """
    import resource

    import torch
    from monai.bundle import ConfigWorkflow

    import fewlabel.planning.measured_run  # noqa: F401 - the config below names it

    shortened = {
        "train#dataset#data": f"$@cohort.labeled[:{_VOLUMES}]",
        "train#unlabeled_dataset#data": (
            f"$@cohort.unlabeled_beside(@train#dataset#data)[:{_VOLUMES}] if @settings['unlabeled_batch_size'] else []"
        ),
        "validate#dataset#data": "$@cohort.validation[:1]",
        "train#handlers": [],
        "paper#steps": STEPS,
        "paper#steps_per_epoch": STEPS,
        "train#trainer#train_data_loader": "$fewlabel.planning.measured_run.Timed(@train#dataloader)",
    }
    workflow = ConfigWorkflow(
        config_file=config_files, workflow_type="train", logging_file=False, **overrides, **shortened
    )
    workflow.initialize()
    parser = workflow.parser
    parser.get_parsed_content("network")
    start = time.perf_counter() - started
    before = time.perf_counter()
    sets = [parser.get_parsed_content(f"train#{name}") for name in ("dataset", "unlabeled_dataset")]
    volumes = sum(len(each.data) for each in sets)
    preparation = (time.perf_counter() - before) / max(1, volumes)
    trainer = parser.get_parsed_content("train#trainer")
    trainer.run()
    step, computing = parser.get_parsed_content("train#trainer#train_data_loader").seconds_per_step()
    before = time.perf_counter()
    validated = len(parser.get_parsed_content("validate#dataset#data"))
    if validated:
        parser.get_parsed_content("validate#evaluator").run()
    validation = time.perf_counter() - before
    device = torch.device(parser.get_parsed_content("device"))
    gpu = device.type == "cuda"
    return {
        "step": step,
        "computing": computing,
        "validation": validation if validated else 0.0,
        "preparation": preparation,
        "start": start,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10),
        "gpu_memory": torch.cuda.max_memory_reserved(device) / 2**20 if gpu else 0.0,
        "device": torch.cuda.get_device_name(device) if gpu else "cpu",
    }


class Timed:
    """A loader that notes when each batch is asked for, which is when the step before it has ended.

    Args:
        loader: of the batches.
    """

    def __init__(self, loader: Any) -> None:
        self.loader = loader
        self.asked: list[tuple[float, float]] = []

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        for batch in self.loader:
            yield batch
            self.asked.append((time.perf_counter(), time.process_time()))

    def seconds_per_step(self) -> tuple[float, float]:
        """Return the seconds of a step, and of them those of this process on the CPU.

        Medians over the steps after the first ones, which warm caches up.
        """
        clock, busy = (
            statistics.median(later - earlier for earlier, later in pairwise(times))
            for times in zip(*self.asked[WARM_UP - 1 :], strict=True)
        )
        return clock, busy


def _is_out_of_memory(error: BaseException) -> bool:
    # torch.cuda.OutOfMemoryError and what PyTorch's allocator raises on the CPU are errors at run time
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "memory" in str(error))


def main(request: str, result: str) -> None:
    """Read what to measure from one file and write the costs to another."""
    started = time.perf_counter()
    asked = json.loads(Path(request).read_text(encoding="utf-8"))
    try:
        costs = measure(asked["config_files"], asked["overrides"], started)
    except Exception as error:  # none is lost: the last line is what the planning process shows
        cause = user_facing_cause(error)
        print(one_line(cause), file=sys.stderr)
        raise SystemExit(OUT_OF_MEMORY if _is_out_of_memory(cause) else 1) from None
    Path(result).write_text(json.dumps(costs), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
