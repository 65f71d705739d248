"""Cross-entropy over the voxels that are still hard, so that easy background does not drown them."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewlabel.conventions.labels import IGNORED
from fewlabel.conventions.precision import in_float32
from fewlabel.losses.label_map import label_map


@in_float32
def ohem_cross_entropy(
    logits: Tensor, target: Tensor, threshold: float = 0.5, min_kept: float = 1 / 16, ignore_index: int = IGNORED
) -> Tensor:
    r"""Mean cross-entropy of the voxels whose own class has a probability below the threshold.

    .. math::
        L = \frac{1}{|S|} \sum_{i \in S} -\log p_i(y_i), \qquad S = \{i : p_i(y_i) < \theta\}

    over the whole batch. When fewer than the share ``min_kept`` of the voxels are hard, S is that share of voxels
    with the highest loss instead. The choice of S carries no gradient.

    Wu, Shen, van den Hengel, "High-performance semantic segmentation using very deep fully convolutional networks",
    arXiv 2016, online bootstrapping; in the FLARE 2022 two-stage method, with the values of its released code.

    Args:
        logits: ``(B, K, *spatial)``, before the softmax.
        target: ``(B, *spatial)`` or ``(B, 1, *spatial)`` class indices.
        threshold: probability in (0, 1] below which a voxel is hard.
        min_kept: share in [0, 1] of the counted voxels that is kept at least, rounded up; 1 is plain cross-entropy.
        ignore_index: the target value of voxels that do not count.

    Returns:
        A scalar, float32 or wider; 0 with a graph when no voxel is kept.

    Raises:
        ValueError: if a shape, a target value, the threshold or the share is out of range.

    Example:
        >>> logits = torch.tensor([[[0.0, 9.0], [0.0, 0.0]]])  # one image, two classes, two voxels
        >>> round(ohem_cross_entropy(logits, torch.tensor([[0, 0]]), threshold=0.9).item(), 4)  # log 2
        0.6931

    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must be a probability in (0, 1], got {threshold}")
    if not 0 <= min_kept <= 1:
        raise ValueError(f"min_kept must be a share of the voxels in [0, 1], got {min_kept}; 1/16 keeps every 16th")
    indices = label_map(target, logits, ignore_index)
    plain = logits.as_subclass(torch.Tensor)
    losses = F.cross_entropy(plain, indices, ignore_index=ignore_index, reduction="none")[indices != ignore_index]
    least = math.ceil(min_kept * losses.numel())
    hard = losses.detach() > -math.log(threshold)
    kept = losses[hard] if int(hard.sum()) >= least else losses.topk(least).values
    return kept.sum() / max(kept.numel(), 1)


class OhemCrossEntropyLoss(nn.Module):
    """:func:`ohem_cross_entropy` as a module.

    Args:
        threshold: probability in (0, 1] below which a voxel is hard.
        min_kept: share in [0, 1] of the counted voxels that is kept at least.
        ignore_index: the target value of voxels that do not count.

    """

    def __init__(self, threshold: float = 0.5, min_kept: float = 1 / 16, ignore_index: int = IGNORED) -> None:
        super().__init__()
        self.threshold = threshold
        self.min_kept = min_kept
        self.ignore_index = ignore_index

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of logits ``(B, K, *spatial)`` against class indices ``(B, *spatial)``."""
        return ohem_cross_entropy(logits, target, self.threshold, self.min_kept, self.ignore_index)
