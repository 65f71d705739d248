"""Take a batch of volumes apart, each with its own geometry."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from monai.data import MetaTensor


def single_volumes(inputs: torch.Tensor) -> Iterator[torch.Tensor]:
    """Yield each of the volumes (B, C, X, Y, Z) as (1, C, X, Y, Z), with its own affine if they have any."""
    plain = inputs.as_subclass(torch.Tensor)
    if not isinstance(inputs, MetaTensor):
        yield from torch.split(plain, 1)
        return
    affines = inputs.affine.reshape(-1, 4, 4)
    for index, volume in enumerate(torch.split(plain, 1)):
        yield MetaTensor(volume, affine=affines[min(index, len(affines) - 1)])
