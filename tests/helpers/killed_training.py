"""Run the small training in processes of its own and kill them: python -m helpers.killed_training <folder> <kills>.

Kills come in the middle of an epoch, while a state is half written, and at random moments. After each kill the state on
disk must be whole or absent. Imports are paid once: the trainings are forks.
"""

from __future__ import annotations

import io
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Events

from fewlabel.handlers.tensor_file import read_tensor_file
from helpers.small_training import training

EPOCHS = 5


def start(folder: Path, prepare: Callable[[int], Any]) -> tuple[int, int]:
    """Fork a training that resumes if it can; return its process id and the pipe it reports to."""
    reading, writing = os.pipe()
    if pid := os.fork():
        os.close(writing)
        return pid, reading
    code = 1
    try:
        state = folder / "training_state.pt"
        training(folder, resume=state.exists(), epochs=EPOCHS, more_handlers=[prepare(writing)]).run()
        code = 0
    finally:
        os._exit(code)


class StallAt:
    """Report, then wait to be killed, right behind a step in the middle of an epoch."""

    def __init__(self, step: int, pipe: int) -> None:
        self.step, self.pipe = step, pipe

    def attach(self, engine: Any) -> None:
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Any) -> None:
        if engine.state.iteration >= self.step:
            os.write(self.pipe, b"x")
            time.sleep(600)


class StallWhileSaving(StallAt):
    """Report, then wait to be killed, with half of a state on disk."""

    def __call__(self, engine: Any) -> None:
        if engine.state.iteration >= self.step:
            torch.save = self.save_half  # type: ignore[assignment]

    def save_half(self, state: Any, stream: Any) -> None:
        if "optimizer0" not in state:  # the weights alone
            real_save(state, stream)
            return
        whole = io.BytesIO()
        real_save(state, whole)
        stream.write(whole.getvalue()[: whole.tell() // 2])
        stream.flush()
        os.write(self.pipe, b"x")
        time.sleep(600)


real_save = torch.save


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def check(folder: Path, since: int) -> int:
    """Return how many epochs the state on disk has; it must be readable and no older than before."""
    file = folder / "training_state.pt"
    epochs = read_tensor_file(file, "broken by the kill")["epoch"] if file.exists() else 0
    assert epochs >= since, f"back from {since} to {epochs} epochs"
    for name in ("model.pt", "model_last.pt"):
        if (folder / name).exists():
            read_tensor_file(folder / name, "broken by the kill")
    return int(epochs)


def main(folder: Path, kills: int) -> None:
    # steps 1-3 are the first epoch: the stalls fall on the second step of the epoch that is due
    done = 0
    for stall in (StallAt, StallWhileSaving, StallAt, StallWhileSaving):
        step = 3 * done + 2
        pid, pipe = start(folder, lambda writing, stall=stall, step=step: stall(step, writing))  # type: ignore[misc]
        assert os.read(pipe, 1) == b"x", "the training ended by itself"
        kill(pid)
        done = check(folder, done)
        if stall is StallWhileSaving:
            assert list(folder.glob(".training_state.pt.*.partial")), "no state was being written"
        # an epoch further, so that the next kill meets a state
        pid, pipe = start(folder, lambda writing, step=3 * done + 4: StallAt(step, writing))  # type: ignore[misc]
        assert os.read(pipe, 1) == b"x"
        kill(pid)
        done = check(folder, done)
    print("stalls done at epoch", done)
    generator = random.Random(0)
    for _ in range(kills):
        pid, _ = start(folder, lambda writing: StallAt(10**6, writing))
        time.sleep(generator.uniform(0.0, 0.3))
        kill(pid)
        done = check(folder, done)
    pid, _ = start(folder, lambda writing: StallAt(10**6, writing))
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert not list(folder.glob(".training_state.pt.*.partial")), "what was left half written stays"


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]) / "killed", int(sys.argv[2]))
    # here, not in the test's process: another number of threads adds in another order
    training(Path(sys.argv[1]) / "whole", epochs=EPOCHS).run()
