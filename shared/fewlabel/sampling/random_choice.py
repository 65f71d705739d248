"""Draw distinct items at random, from a generator that the caller can seed and save."""

from __future__ import annotations

import torch
from torch import Tensor


def sample_indices(
    population: int, count: int, generator: torch.Generator | None = None, device: torch.device | str = "cpu"
) -> Tensor:
    """Choose distinct numbers below ``population``, each set equally likely; all of them, in order, if few enough.

    Args:
        population: how many there are.
        count: how many to choose at most.
        generator: where the randomness comes from, PyTorch's own if not given; its device may differ from ``device``.
        device: of the result.

    Returns:
        ``(min(population, count),)`` int64.

    Raises:
        ValueError: if the count is negative.

    """
    if count < 0:
        raise ValueError(f"cannot draw {count} items; the count must be at least 0")
    if population <= count:
        return torch.arange(population, device=device)
    where = device if generator is None else generator.device
    return torch.randperm(population, generator=generator, device=where)[:count].to(device)


def sample_mask(mask: Tensor, count: int, generator: torch.Generator | None = None) -> Tensor:
    """Draw the indices of at most ``count`` true entries, without replacement.

    Args:
        mask: ``(n,)`` bool, one column of :func:`~fewlabel.sampling.anchors` for instance.
        count: how many to draw at most; all true entries, in order, if there are no more.
        generator: where the randomness comes from, PyTorch's own if not given.

    Returns:
        ``(m,)`` int64 indices into the mask, m at most ``count``.

    Raises:
        ValueError: if the mask is not a bool vector, or the count is negative.

    Example:
        >>> sample_mask(torch.tensor([True, False, True]), count=5).tolist()
        [0, 2]

    """
    if mask.ndim != 1 or mask.dtype != torch.bool:
        raise ValueError(f"mask must be a bool vector (n,), got {mask.dtype} {tuple(mask.shape)}")
    candidates = mask.nonzero().squeeze(1)
    return candidates[sample_indices(len(candidates), count, generator, mask.device)]
