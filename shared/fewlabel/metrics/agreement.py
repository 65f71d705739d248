"""Agreement of two networks on an unlabeled scan: where to look twice, and how good the result may be."""

from __future__ import annotations

import math

import torch

_PART = 1 << 18


def disagreement(logits_a: torch.Tensor, logits_b: torch.Tensor) -> torch.Tensor:
    r"""Total variation between the class probabilities of two networks, voxel by voxel.

    .. math:: \tfrac{1}{2} \sum_c |p_a(c) - p_b(c)|, \quad p = \mathrm{softmax}(\mathrm{logits})

    It is the largest difference in probability that the two give to any set of classes: 0 where they agree, 1 where
    each is certain of another class.

    Args:
        logits_a: (B, K, \*spatial) of the one.
        logits_b: (B, K, \*spatial) of the other.

    Returns:
        (B, 1, \*spatial) in [0, 1].

    Raises:
        ValueError: the two differ in shape.

    >>> disagreement(torch.tensor([[100.0, 0.0]]), torch.tensor([[0.0, 0.0]]))
    tensor([[0.5000]])
    """
    if logits_a.shape != logits_b.shape:
        raise ValueError(f"expected logits of one shape, got {tuple(logits_a.shape)} and {tuple(logits_b.shape)}")
    difference = (logits_a.softmax(dim=1) - logits_b.softmax(dim=1)).abs()
    return 0.5 * difference.sum(dim=1, keepdim=True)


def agreement(labels_a: torch.Tensor, labels_b: torch.Tensor, num_classes: int) -> float:
    """Mean Dice of two segmentations of one scan over the classes that either predicts: the predicted quality.

    Roy et al. (MICCAI 2018) rank scans by the overlap of repeated predictions; here the two are students that learned
    side by side. It is a rank, not a probability: both may share an error, and no reference calibrates the number.

    Args:
        labels_a: label map of any shape, class 0 the background.
        labels_b: label map of the same shape.
        num_classes: number of classes, the background included.

    Returns:
        Dice in [0, 1]; nan where neither predicts any class but the background.

    Raises:
        ValueError: the two differ in shape, or hold values that are no class.
    """
    if labels_a.shape != labels_b.shape:
        raise ValueError(f"expected label maps of one shape, got {tuple(labels_a.shape)} and {tuple(labels_b.shape)}")
    size = torch.zeros(num_classes, dtype=torch.long, device=labels_a.device)
    shared = size.clone()
    # part after part: bincount wants eight bytes a voxel, and label maps have one
    for a, b in zip(torch.split(labels_a.flatten(), _PART), torch.split(labels_b.flatten(), _PART), strict=True):
        for labels in (a, b):
            if labels.min() < 0 or labels.max() >= num_classes:
                raise ValueError(
                    f"expected labels 0 to {num_classes - 1}, got {int(labels.min())} to {int(labels.max())}"
                )
            size += torch.bincount(labels.long(), minlength=num_classes)
        shared += torch.bincount(a[a == b].long(), minlength=num_classes)
    present = size[1:] > 0
    if not present.any():
        return math.nan
    return float((2 * shared[1:][present].double() / size[1:][present]).mean())
