"""Vision-text consistency: the mean feature of a class points where the text of its name points."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewlabel.conventions.labels import IGNORED
from fewlabel.losses.label_map import label_map


def vision_text_consistency(features: Tensor, labels: Tensor, text: Tensor) -> Tensor:
    r"""One minus the cosine between each class's prototype and the embedding of its name, averaged over classes.

    .. math::
        L = \frac1{|C|} \sum_{c \in C} 1 - \cos\Big(\sum_{v : y_v = c} \frac{f_v}{\|f_v\|}, t_c\Big)

    with C the classes that have voxels; without any the loss is 0, with a graph. Li et al., "VCLIPSeg", MICCAI 2024,
    eq. 4-5. Features are scaled to unit length over their channels; the released code does so along the depth of the
    volume instead, which a voxel's neighbors decide, and averages over no voxels where a class is missing.

    Args:
        features: ``(B, d, *spatial)``.
        labels: ``(B, *spatial)`` or ``(B, 1, *spatial)`` class indices, -1 for voxels that do not count.
        text: ``(K, d)`` embeddings, without a gradient.

    Returns:
        A scalar, float32 or wider.

    Raises:
        ValueError: if the shapes do not fit together, or a label is neither a class nor -1.

    Example:
        >>> features = torch.tensor([[[3.0, 0.0, 5.0], [0.0, 2.0, 0.0]]])  # three voxels of two channels
        >>> labels = torch.tensor([[0, 0, -1]])
        >>> round(vision_text_consistency(features, labels, text=torch.eye(2)).item(), 4)  # 1 - cos 45 degrees
        0.2929

    """
    if text.ndim != 2 or features.ndim < 3 or text.shape[1] != features.shape[1]:
        raise ValueError(
            f"expected features (B, d, *spatial) and text (K, d), got {tuple(features.shape)} and {tuple(text.shape)}"
        )
    # scores of the shape that logits would have, of one number in memory
    scores = features.new_empty((1,)).expand(len(features), len(text), *features.shape[2:])
    classes = label_map(labels, scores, IGNORED)
    wide = torch.promote_types(features.dtype, torch.float32)
    with torch.autocast(features.device.type, enabled=False):
        vectors = F.normalize(features.to(wide), dim=1).transpose(0, 1).flatten(1)
        members = F.one_hot(classes.flatten() + 1, len(text) + 1)[:, 1:].to(wide)
        sums = (vectors @ members).T
        present = members.any(dim=0)
        losses = 1 - F.cosine_similarity(sums, text.detach().to(wide), dim=1)
    return torch.where(present, losses, 0.0).sum() / present.sum().clamp(min=1)


class VisionTextConsistencyLoss(nn.Module):
    """:func:`vision_text_consistency` as a module."""

    def forward(self, features: Tensor, labels: Tensor, text: Tensor) -> Tensor:
        """Return the loss of ``(B, d, *spatial)`` under labels ``(B, *spatial)`` against ``(K, d)``."""
        return vision_text_consistency(features, labels, text)
