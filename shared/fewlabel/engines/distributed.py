"""Train on several devices: one process each, the method wrapped once."""

from __future__ import annotations

import os

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from fewlabel.sampling import find_banks


def init_distributed() -> None:
    """Join the group of processes that ``torchrun`` started, over NCCL on CUDA and gloo elsewhere.

    Raises:
        ValueError: the program was not started by ``torchrun``.
    """
    if "RANK" not in os.environ:
        raise ValueError("multi_gpu_train.json needs torchrun: torchrun --nproc_per_node 2 -m monai.bundle run ...")
    if not dist.is_initialized():
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")


def local_device() -> torch.device:
    """Return this process's device: its own GPU, or the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    torch.cuda.set_device(device)
    return device


def wrap_ddp(method: nn.Module, sync_batch_norm: bool = False) -> DistributedDataParallel:
    """Wrap a method, already on its device, so that all processes take equal steps.

    All hold the same weights, and before each step get the main process's statistics of batch normalization, so that
    the weights it saves are those that all validate. Banks are left out of that: each process fills its own.

    Args:
        method: the method, networks, projectors and banks together.
        sync_batch_norm: let batch normalization see the global batch, not each process's share. CUDA only, as
            PyTorch has it.

    Raises:
        ValueError: synchronized batch normalization is asked for on the CPU.
    """
    device = next(method.parameters()).device
    if sync_batch_norm:
        if device.type != "cuda":
            raise ValueError("sync_batch_norm needs CUDA devices; leave it false on the CPU")
        # in place, module by module: handlers and evaluator hold the same networks
        for name, child in list(method.named_children()):
            setattr(method, name, nn.SyncBatchNorm.convert_sync_batchnorm(child))  # type: ignore[no-untyped-call]
    # not broadcast_buffers=False: then the statistics of batch normalization would drift apart as well
    names = [f"{bank}.{buffer}" for bank, child in find_banks(method).items() for buffer, _ in child.named_buffers()]
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(method, names)  # type: ignore[no-untyped-call]
    return DistributedDataParallel(method, device_ids=[device] if device.type == "cuda" else None)
