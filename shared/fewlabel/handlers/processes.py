"""The process of a distributed training run that this is; a run in one process is its own main process."""

from __future__ import annotations

from typing import TypeVar

import torch.distributed as dist

T = TypeVar("T")


def is_distributed() -> bool:
    """Return whether this process belongs to a group."""
    return dist.is_available() and dist.is_initialized()


def rank() -> int:
    """Return this process's number."""
    return dist.get_rank() if is_distributed() else 0


def world_size() -> int:
    """Return the number of processes."""
    return dist.get_world_size() if is_distributed() else 1


def is_main_process() -> bool:
    """Return whether this process is the one that writes files."""
    return rank() == 0


def wait_for_all() -> None:
    """Return once every process has come here."""
    if is_distributed():
        dist.barrier()


def gather(value: T) -> list[T]:
    """Return the values of all processes by rank, on each of them."""
    if not is_distributed():
        return [value]
    values: list[T] = [value] * world_size()
    dist.all_gather_object(values, value)
    return values


def gather_to_main(value: T) -> list[T] | None:
    """Return the values of all processes by rank on the main one, None on the others: for what is large."""
    if not is_distributed():
        return [value]
    values: list[T] | None = [value] * world_size() if is_main_process() else None
    dist.gather_object(value, values)
    return values
