"""Contrast of one class's anchors with a positive center and sampled negatives."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from fewlabel.conventions.precision import in_float32
from fewlabel.losses.balanced_groups import class_ids
from fewlabel.losses.similarity import check_temperature


@in_float32
def anchored_contrastive(
    anchors: Tensor,
    positives: Tensor,
    negatives: Tensor,
    negative_labels: Tensor,
    temperature: float = 0.1,
    balanced: bool = True,
) -> Tensor:
    r"""Contrastive loss of the anchors of one class against a positive and negatives drawn from the other classes.

    .. math::
        \ell_i = -\log \frac{\exp(a_i \cdot p / \tau)}{\exp(a_i \cdot p / \tau) + Z_i}, \qquad
        Z_i = \sum_j \frac{1}{|n_j|} \sum_{k \in n_j} \exp(a_i \cdot n_k / \tau)

    with :math:`n_j` the negatives of class j. MCSCv2, equation 5.7 of the thesis that also introduces MCSC and CCT-R.
    With ``balanced=False`` the factors :math:`1 / |n_j|` are 1: CCT-R (WACV 2025), equation 6.4, where the sampler's
    cap per class is the balance. The mean over classes is the caller's.

    Args:
        anchors: ``(a, d)``, meant to have unit length, as the other features. Half precisions are computed in
            float32, under autocast too.
        positives: ``(d,)``, one center for all anchors, or ``(a, d)``, one for each.
        negatives: ``(m, d)``; none of them makes the loss 0.
        negative_labels: integers ``(m,)``; used to balance the classes.
        temperature: :math:`\tau`; safe down to 1e-3 and below.
        balanced: average the negatives of each class instead of summing them.

    Returns:
        Mean over the anchors; 0 with a graph if there are none.

    Raises:
        ValueError: for shapes, types or a temperature other than these.

    Example:
        >>> import torch
        >>> anchors, center = torch.tensor([[1.0, 0.0]]), torch.tensor([1.0, 0.0])
        >>> negatives = torch.tensor([[0.0, 1.0], [0.0, -1.0]])
        >>> anchored_contrastive(anchors, center, negatives, torch.tensor([2, 2]), temperature=1.0)  # log(1 + exp(-1))
        tensor(0.3133)

    """
    _check(anchors, positives, negatives, negative_labels, temperature)
    queries = anchors / temperature
    similar = (queries * positives.to(queries.dtype)).sum(dim=1, keepdim=True)
    against = queries @ negatives.to(queries.dtype).mT - similar
    if balanced:
        _, counts = class_ids(negative_labels[None])
        against = against - counts.to(queries.dtype).log()
    losses = F.softplus(against.logsumexp(dim=1))
    return losses.sum() / max(len(anchors), 1)


class AnchoredContrastiveLoss(nn.Module):
    """Module form of :func:`anchored_contrastive`.

    Args:
        temperature: divides the similarities.
        balanced: average the negatives of each class instead of summing them.

    """

    def __init__(self, temperature: float = 0.1, balanced: bool = True) -> None:
        super().__init__()
        self.temperature = temperature
        self.balanced = balanced

    def forward(self, anchors: Tensor, positives: Tensor, negatives: Tensor, negative_labels: Tensor) -> Tensor:
        """Loss of anchors ``(a, d)`` with positives ``(d,)`` or ``(a, d)`` and labeled negatives ``(m, d)``."""
        return anchored_contrastive(
            anchors, positives, negatives, negative_labels, self.temperature, balanced=self.balanced
        )


def _check(anchors: Tensor, positives: Tensor, negatives: Tensor, negative_labels: Tensor, temperature: float) -> None:
    if anchors.ndim != 2:
        raise ValueError(f"anchors must be (a, d), got {tuple(anchors.shape)}")
    if positives.shape not in (anchors.shape[1:], anchors.shape):
        raise ValueError(
            f"positives must be {tuple(anchors.shape[1:])} or {tuple(anchors.shape)} for anchors "
            f"{tuple(anchors.shape)}, got {tuple(positives.shape)}"
        )
    if negatives.ndim != 2 or negatives.shape[1] != anchors.shape[1]:
        raise ValueError(f"negatives must be (m, {anchors.shape[1]}), got {tuple(negatives.shape)}")
    if negative_labels.shape != negatives.shape[:1]:
        raise ValueError(
            f"negative_labels must be ({len(negatives)},), one per negative, got {tuple(negative_labels.shape)}"
        )
    for name, features in (("anchors", anchors), ("positives", positives), ("negatives", negatives)):
        if not features.is_floating_point():
            raise ValueError(f"{name} must be floating point, got {features.dtype}")
    if negative_labels.is_floating_point() or negative_labels.is_complex():
        raise ValueError(f"negative_labels must be integers, got {negative_labels.dtype}; use negative_labels.long()")
    check_temperature(temperature)
