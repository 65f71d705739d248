"""NT-Xent: two views of one sample attract, all other samples of the batch repel."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewlabel.conventions.precision import in_float32
from fewlabel.losses.similarity import check_pairs, cosine_logits


@in_float32
def nt_xent(view_a: Tensor, view_b: Tensor, temperature: float = 0.1) -> Tensor:
    r"""Normalized temperature-scaled cross-entropy over the 2b views of b samples, both directions averaged.

    .. math::
        L = \frac{1}{2b} \sum_{i=1}^{2b} -\log
            \frac{e^{\cos(z_i, z_{p(i)}) / \tau}}{\sum_{k \ne i} e^{\cos(z_i, z_k) / \tau}}

    with z the 2b views and p(i) the other view of the same sample.

    Chen et al., "A simple framework for contrastive learning of visual representations", ICML 2020, eq. 1; DK-UXNet,
    ISBI 2024, eq. 3-4, without its factor 1/HWD, which would shrink the term by about a million. The rows are scaled
    to unit length here. One sample has nothing to repel, and its loss is 0.

    Args:
        view_a: ``(b, d)``, one view of each sample.
        view_b: ``(b, d)``, the other view of the same samples in the same order.
        temperature: a positive number.

    Returns:
        A scalar, float32 or wider.

    Raises:
        ValueError: if the views do not pair up, or the temperature is not positive.

    Example:
        >>> views = torch.eye(2)
        >>> round(nt_xent(views, views, temperature=1.0).item(), 4)  # log(1 + 2/e)
        0.5514

    """
    check_pairs(view_a, view_b, ("view_a", "view_b"))
    views = torch.cat([view_a, view_b])
    itself = torch.eye(len(views), dtype=torch.bool, device=views.device)
    logits = cosine_logits(views, views, temperature).masked_fill(itself, -torch.inf)
    other_view = torch.arange(len(views), device=views.device).roll(len(view_a))
    return F.cross_entropy(logits, other_view)


class NTXentLoss(nn.Module):
    """:func:`nt_xent` as a module.

    Args:
        temperature: a positive number.

    """

    def __init__(self, temperature: float = 0.1) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, view_a: Tensor, view_b: Tensor) -> Tensor:
        """Return the loss of ``(b, d)`` against ``(b, d)``."""
        return nt_xent(view_a, view_b, self.temperature)
