"""Find values that are not finite in weights and states, before they are saved and after they are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch


def not_finite(state: Any) -> list[str]:
    """Return the names of the tensors in a nested state that hold nan or an infinite value.

    Numbers that are no tensors are passed over: the best score of a run without validation is nan. Each device is
    waited for once.

    Args:
        state: mappings and sequences of tensors, as a ``state_dict``.

    >>> not_finite({"weight": torch.ones(2), "bias": torch.tensor([0.0, float("nan")])})
    ['bias']
    >>> not_finite({"step": torch.tensor(3), "best": float("nan")})
    []
    """
    found = [(name, tensor) for name, tensor in _tensors(state, "") if tensor.is_floating_point() and tensor.numel()]
    broken: list[str] = []
    for device in {tensor.device for _, tensor in found}:
        here = [(name, tensor) for name, tensor in found if tensor.device == device]
        # nan and infinity show in the extremes, which are found ten times as fast as isfinite looks at every value
        extremes = [torch.stack(torch.aminmax(tensor)) for _, tensor in here]
        finite = torch.stack([torch.isfinite(pair).all() for pair in extremes]).tolist()
        broken += [name for (name, _), ok in zip(here, finite, strict=True) if not ok]
    return broken


def _tensors(value: Any, name: str) -> Iterator[tuple[str, torch.Tensor]]:
    if isinstance(value, torch.Tensor):
        yield name, value.detach()
        return
    if isinstance(value, Mapping):
        items = [(str(key), inner) for key, inner in value.items()]
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        items = [(str(number), inner) for number, inner in enumerate(value)]
    else:
        return
    for key, inner in items:
        yield from _tensors(inner, f"{name}.{key}" if name else key)
