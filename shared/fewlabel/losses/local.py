"""Supervised contrast of foreground pixels within a block."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fewlabel.conventions.labels import IGNORED
from fewlabel.conventions.precision import in_float32
from fewlabel.losses.similarity import check_temperature


@in_float32
def local_contrastive(
    features: Tensor, labels: Tensor, temperature: float = 0.1, ignore_index: int = IGNORED
) -> Tensor:
    r"""Supervised contrastive loss of the foreground pixels of each group; the background is repelled, no anchor.

    .. math::
        \ell_i = -\frac{1}{|P_i|} \sum_{p \in P_i}
            \log \frac{\exp(a_i \cdot a_p / \tau)}{\sum_{k \ne i} \exp(a_i \cdot a_k / \tau)}

    with :math:`P_i` the other pixels of the anchor's class in its group, averaged over the anchors of all groups that
    have one. X. Hu et al., Semi-supervised Contrastive Learning for Label-efficient Medical Image Segmentation, MICCAI
    2021, after P. Khosla et al., NeurIPS 2020. All pairs of a group are held at once: meant for small blocks.

    Args:
        features: ``(g, n, d)``, meant to have unit length; half precisions are computed in float32.
        labels: integers ``(g, n)``, 0 for the background.
        temperature: :math:`\tau`.
        ignore_index: pixels of this label are no anchors and are in no sum.

    Returns:
        A scalar; 0 with a graph where no anchor has a positive.

    Raises:
        ValueError: shapes that do not fit, or a temperature that is not positive.

    Example:
        >>> features = torch.tensor([[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]])
        >>> local_contrastive(features, torch.tensor([[1, 1, 0]]), temperature=1.0)  # log(1 + exp(-1))
        tensor(0.3133)

    """
    if features.ndim != 3 or labels.shape != features.shape[:2]:
        raise ValueError(
            f"expected features (g, n, d) and labels (g, n), got {tuple(features.shape)} and {tuple(labels.shape)}"
        )
    check_temperature(temperature)
    similar = features @ features.mT / temperature
    itself = torch.eye(similar.shape[1], dtype=torch.bool, device=similar.device)
    kept = labels != ignore_index
    hidden = itself | ~kept[:, None]
    # a pixel that sees no other is no anchor, but its row must not spoil the gradient
    hidden = hidden & ~hidden.all(dim=2, keepdim=True)
    log_shares = similar - similar.masked_fill(hidden, -torch.inf).logsumexp(dim=2, keepdim=True)
    anchor = (labels > 0) & kept
    positive = (labels[:, :, None] == labels[:, None]) & ~itself & anchor[:, :, None]
    counts = positive.sum(dim=2)
    losses = -torch.where(positive, log_shares, 0.0).sum(dim=2) / counts.clamp(min=1)
    return losses.sum() / (counts > 0).sum().clamp(min=1)


class LocalContrastiveLoss(nn.Module):
    """Module form of :func:`local_contrastive`.

    Args:
        temperature: divides the similarities.
    """

    def __init__(self, temperature: float = 0.1) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Loss of features ``(g, n, d)`` with labels ``(g, n)``."""
        return local_contrastive(features, labels, self.temperature)
