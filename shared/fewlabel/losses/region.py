"""Localized region contrast: a region's mean feature finds the same region in a deformed copy of the image."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fewlabel.conventions.precision import in_float32
from fewlabel.losses.similarity import check_pairs, cosine_logits


@in_float32
def region_contrast(query: Tensor, key: Tensor, temperature: float = 0.1) -> Tensor:
    r"""Contrast each region's mean in the image with all regions' means in the image and in its deformed copy.

    .. math::
        L = \frac{1}{K} \sum_{k} -\log \frac{e^{\cos(q_k, p_k) / \tau}}
            {\sum_{j \ne k} e^{\cos(q_k, q_j) / \tau} + \sum_{j} e^{\cos(q_k, p_j) / \tau}}

    Yan et al., "Localized region contrast for enhancing self-supervised learning in medical image segmentation",
    MICCAI 2023, the local contrastive loss. Three readings differ from the printed formula: the means are scaled to
    unit length here, a region is not contrasted with itself, and the sum over regions is a mean, so that the loss
    does not grow with the number of regions. A single region gives 0.

    Args:
        query: ``(K, d)``, the regions' mean features in the image.
        key: ``(K, d)``, the same regions' mean features in the deformed copy, in the same order; leave out regions
            that the deformation removed.
        temperature: a positive number.

    Returns:
        A scalar, float32 or wider.

    Raises:
        ValueError: if the regions do not pair up, or the temperature is not positive.

    Example:
        >>> means = torch.eye(2)
        >>> round(region_contrast(means, means, temperature=1.0).item(), 4)  # log(1 + 2/e)
        0.5514

    """
    check_pairs(query, key, ("query", "key"))
    itself = torch.eye(len(query), dtype=torch.bool, device=query.device)
    to_query = cosine_logits(query, query, temperature).masked_fill(itself, -torch.inf)
    to_key = cosine_logits(query, key, temperature)
    denominators = torch.cat([to_query, to_key], dim=1).logsumexp(dim=1)
    losses = denominators - to_key.diagonal()
    return losses.mean()


class RegionContrastLoss(nn.Module):
    """:func:`region_contrast` as a module.

    Args:
        temperature: a positive number.

    """

    def __init__(self, temperature: float = 0.1) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, query: Tensor, key: Tensor) -> Tensor:
        """Return the loss of ``(K, d)`` against ``(K, d)``."""
        return region_contrast(query, key, self.temperature)
