"""Entropy of predictions, and the pixels of a batch that count as certain."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def entropy(probabilities: Tensor, dim: int = 1) -> Tensor:
    r"""Entropy of each pixel's class distribution in nats: :math:`H = -\sum_c p(c) \log p(c)`, with 0 log 0 = 0.

    Thesis ch. 5, eq. 5.1.

    Args:
        probabilities: ``(B, K, *spatial)``, or any shape with the classes along ``dim``; after the softmax.
        dim: the axis of the classes.

    Returns:
        The shape without ``dim``; from 0 for a sure prediction to log K for a uniform one.

    Raises:
        ValueError: if a probability is negative, as logits are.

    Example:
        >>> entropy(torch.tensor([[1.0, 0.0], [0.5, 0.5]])).tolist()  # 0 and log 2
        [0.0, 0.6931471824645996]

    """
    if not probabilities.is_floating_point():
        raise ValueError(f"probabilities must be floating point, got {probabilities.dtype}")
    if bool((probabilities < 0).any()):
        raise ValueError(
            f"probabilities must not be negative, got {probabilities.min().item():.4g}; apply softmax over axis {dim}"
        )
    terms: Tensor = torch.special.entr(probabilities)
    return terms.sum(dim)


def certain_mask(entropies: Tensor, uncertain_fraction: float) -> Tensor:
    r"""The pixels whose entropy is not among the batch's highest: :math:`H \le \gamma`.

    With n pixels, :math:`\gamma` is the :math:`(n - \lfloor \beta n \rfloor)`-th smallest entropy, the
    :math:`1 - \beta` quantile taken at a pixel, so that at most a share :math:`\beta` is uncertain, and exactly
    :math:`\lfloor \beta n \rfloor` pixels are when no two entropies tie. Thesis ch. 5, section 5.3.2.2, where
    :math:`\beta = \beta_0 (1 - t / T)` falls from 0.2 to 0 during training.

    Args:
        entropies: any shape; all pixels are ranked together, so stack both networks' entropies.
        uncertain_fraction: :math:`\beta` in [0, 1].

    Returns:
        Bool, the same shape; a pixel whose entropy is NaN is never certain.

    Raises:
        ValueError: if the fraction is not in [0, 1].

    Example:
        >>> certain_mask(torch.tensor([0.1, 0.9, 0.3, 0.2]), uncertain_fraction=0.25).tolist()
        [True, False, True, True]

    """
    if not 0 <= uncertain_fraction <= 1:
        raise ValueError(f"uncertain_fraction must be in [0, 1], got {uncertain_fraction}; the thesis begins with 0.2")
    # 0.29 x 100 is 28.999... in binary, and means 29.
    uncertain = math.floor(uncertain_fraction * entropies.numel() + 1e-6)
    if uncertain == entropies.numel():
        return torch.zeros_like(entropies, dtype=torch.bool)
    if uncertain == 0:
        return ~entropies.isnan()
    # Not torch.quantile, which refuses more than 16 million pixels.
    gamma = entropies.flatten().kthvalue(entropies.numel() - uncertain).values
    # NaN ranks highest, so gamma is NaN only where more pixels than the share are; then every finite one is certain.
    return (entropies <= gamma) | (gamma.isnan() & ~entropies.isnan())
