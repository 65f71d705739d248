"""Consistency: the probabilities of a student against those of a teacher."""

from __future__ import annotations

from torch import Tensor

from fewlabel.conventions.precision import in_float32


@in_float32
def consistency_distance(
    logits: Tensor, target: Tensor, mask: Tensor | None = None, divisor: int | None = None
) -> Tensor:
    r"""Mean squared distance of probabilities over the voxels that count.

    .. math:: L = \frac{\sum_v m_v \sum_k (p_{vk} - q_{vk})^2}{K \sum_v m_v}

    Without a mask it is the plain mean of A. Tarvainen and H. Valpola, "Mean teachers are better role models",
    NeurIPS 2017; with one, eq. 3 of Yu et al., "Uncertainty-aware self-ensembling model", MICCAI 2019.

    Args:
        logits: the student's, (B, K, *spatial).
        target: the teacher's probabilities q of the same shape, without a gradient.
        mask: m, (B, 1, *spatial), 0 where a voxel does not count; None counts all.
        divisor: in place of K; the released code of 2019 has 2, whatever the number of classes.

    Returns:
        A scalar in [0, 2 / K]; 0 with a graph if no voxel counts.

    Raises:
        ValueError: the shapes differ.

    >>> import torch
    >>> consistency_distance(torch.zeros(1, 2, 3), torch.tensor([[[1.0, 0.5, 0.5], [0.0, 0.5, 0.5]]]))
    tensor(0.0833)
    """
    if logits.shape != target.shape:
        raise ValueError(
            f"the target must have the logits' shape {tuple(logits.shape)}, got {tuple(target.shape)}: probabilities "
            "of the same classes and voxels"
        )
    distance = (logits.softmax(dim=1) - target).square()
    if mask is None:
        return distance.mean() if divisor is None else distance.mean() * logits.shape[1] / divisor
    counted = (divisor or logits.shape[1]) * mask.sum()
    return (mask * distance).sum() / counted.clamp(min=1)
