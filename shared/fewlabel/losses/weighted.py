"""Cross-entropy and Dice against hard labels, each voxel with a weight of its own."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from fewlabel.conventions.labels import IGNORED
from fewlabel.conventions.precision import in_float32


@in_float32
def weighted_cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    r"""Mean over all voxels of the weighted cross-entropy.

    .. math:: L = -\frac1V \sum_v w_v \log p_v(y_v)

    Divided by the number of voxels, not by the sum of the weights: as in FixMatch (Sohn et al., NeurIPS 2020, eq. 4),
    where few confident pixels make a small loss, not a loud one.

    Args:
        logits: (B, K, *spatial).
        labels: class indices (B, 1, *spatial); :data:`fewlabel.conventions.labels.IGNORED` weighs 0.
        weights: (B, 1, *spatial), 0 for voxels that do not count; None weighs all alike.

    Returns:
        A scalar; 0 with a graph if all weights are 0.

    Raises:
        ValueError: the shapes do not fit.

    >>> import torch
    >>> logits = torch.zeros(1, 2, 2, 2)
    >>> labels = torch.zeros(1, 1, 2, 2, dtype=torch.long)
    >>> weights = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]])
    >>> round(weighted_cross_entropy(logits, labels, weights).item(), 4)  # log(2) / 4
    0.1733
    """
    _check(logits, labels, weights)
    labels, weights = counted_weights(labels, weights)
    per_voxel = F.cross_entropy(logits, labels[:, 0].long(), reduction="none")
    return per_voxel.mean() if weights is None else (per_voxel * weights[:, 0]).mean()


@in_float32
def weighted_dice(
    logits: Tensor, labels: Tensor, weights: Tensor | None = None, smooth: float = 1e-5, squared: bool = True
) -> Tensor:
    r"""Soft Dice loss over the voxels of a batch, each with a weight, averaged over all classes.

    .. math:: L = 1 - \frac1K \sum_k \frac{2 \sum_v w_v p_{vk} g_{vk} + s}{\sum_v w_v (p_{vk}^2 + g_{vk}^2) + s}

    With all weights 1 it is the Dice part of :func:`fewlabel.losses.supervised_loss` (background included).

    Args:
        logits: (B, K, *spatial).
        labels: class indices (B, 1, *spatial); :data:`fewlabel.conventions.labels.IGNORED` weighs 0.
        weights: (B, 1, *spatial), 0 for voxels that do not count; None weighs all alike.
        smooth: s; a class that neither side shows has Dice 1.
        squared: square the probabilities in the denominator, as the SSL4MIS studies do.

    Returns:
        A scalar in [0, 1]; 0 with a graph if all weights are 0.

    Raises:
        ValueError: the shapes do not fit.
    """
    _check(logits, labels, weights)
    labels, weights = counted_weights(labels, weights)
    probabilities = logits.softmax(dim=1)
    truth = F.one_hot(labels[:, 0].long(), logits.shape[1]).movedim(-1, 1).to(probabilities.dtype)
    weight = logits.new_ones(()) if weights is None else weights
    over = (0, *range(2, logits.ndim))
    both = (weight * probabilities * truth).sum(dim=over)
    sizes = probabilities**2 + truth if squared else probabilities + truth
    dice = (2 * both + smooth) / ((weight * sizes).sum(dim=over) + smooth)
    return 1 - dice.mean()


@in_float32
def region_loss(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Half cross-entropy, half Dice, each over a region alone: Bai et al., CVPR 2023, eq. 7-8, for one region.

    Args:
        logits: (B, K, *spatial).
        labels: class indices (B, 1, *spatial); :data:`fewlabel.conventions.labels.IGNORED` does not count.
        weights: (B, 1, *spatial), 1 in the region and 0 elsewhere.

    Returns:
        A scalar; 0 with a graph for an empty region.
    """
    labels, counted = counted_weights(labels, weights)
    weights = weights if counted is None else counted
    inside = weights.mean().clamp(min=1 / weights[0].numel())
    return 0.5 * weighted_cross_entropy(logits, labels, weights) / inside + 0.5 * weighted_dice(logits, labels, weights)


def counted_weights(labels: Tensor, weights: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
    """Weigh voxels that nobody annotated 0, and give them some class.

    Args:
        labels: class indices (B, 1, *spatial), or :data:`fewlabel.conventions.labels.IGNORED`.
        weights: (B, 1, *spatial); None weighs all alike.
    """
    counted = labels != IGNORED
    if bool(counted.all()):
        return labels, weights
    return labels.clamp(min=0), counted.float() if weights is None else weights * counted


def _check(logits: Tensor, labels: Tensor, weights: Tensor | None) -> None:
    expected = (logits.shape[0], 1, *logits.shape[2:])
    for name, value in (("labels", labels), ("weights", weights)):
        if value is not None and tuple(value.shape) != expected:
            raise ValueError(f"{name} must have the shape {expected}, as the logits have, got {tuple(value.shape)}")
