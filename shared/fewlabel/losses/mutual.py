"""Mutual consistency: each of several predictions learns from the sharpened others."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import torch
from torch import Tensor

from fewlabel.conventions.precision import in_float32


@in_float32
def sharpen(probabilities: Tensor, temperature: float = 0.1) -> Tensor:
    r"""Push probabilities toward 0 or 1, each against the rest.

    .. math:: s(p) = \frac{p^{1/T}}{p^{1/T} + (1 - p)^{1/T}}

    Wu et al., "Semi-supervised left atrium segmentation with mutual consistency training", MICCAI 2021, eq. 1. With
    more than two classes the results need not sum to 1.

    Args:
        probabilities: any shape, in [0, 1].
        temperature: T, at least 0.02: below, powers leave the range of 32 bits; 1 changes nothing.

    Raises:
        ValueError: the temperature is out of range.

    >>> sharpen(torch.tensor([0.0, 0.5, 0.6, 1.0]), temperature=0.5)
    tensor([0.0000, 0.5000, 0.6923, 1.0000])
    """
    if not 0.02 <= temperature <= 1:
        raise ValueError(f"temperature must be in [0.02, 1], got {temperature}")
    own = probabilities ** (1 / temperature)
    rest = (1 - probabilities) ** (1 / temperature)
    return own / (own + rest)  # own + rest is at least 2 ** (1 - 1 / T)


@in_float32
def mutual_consistency(logits: Sequence[Tensor], temperature: float = 0.1, detach_targets: bool = False) -> Tensor:
    r"""Mean squared distance of each prediction to each other one's sharpened form, summed over ordered pairs.

    .. math:: L_c = \sum_{i \ne j} \mathrm{mean}\, (p_i - s(p_j))^2

    Wu et al., MICCAI 2021, eq. 3.

    Args:
        logits: two or more tensors (B, K, *spatial), from different decoders on the same images.
        temperature: of :func:`sharpen`.
        detach_targets: send no gradient through the sharpened predictions. The released code does not detach them.

    Returns:
        A scalar in [0, n (n - 1)].

    Raises:
        ValueError: fewer than two predictions, shapes that differ, or a temperature out of range.
    """
    if len(logits) < 2 or len({tuple(one.shape) for one in logits}) > 1:
        shapes = [tuple(one.shape) for one in logits]
        raise ValueError(f"expected two or more predictions of one shape (B, K, *spatial), got {shapes}")
    probabilities = [one.softmax(dim=1) for one in logits]
    targets = [sharpen(p.detach() if detach_targets else p, temperature) for p in probabilities]
    pairs = permutations(range(len(logits)), 2)
    distances = [(probabilities[i] - targets[j]).square().mean() for i, j in pairs]
    return torch.stack(distances).sum()
