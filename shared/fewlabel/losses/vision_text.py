"""Vision-text consistency: the mean feature of a class points where the text of its name points."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewlabel.conventions.labels import IGNORED
from fewlabel.conventions.precision import in_float32
from fewlabel.losses.label_map import label_map

UNIT_LENGTHS = {"channels": 1, "depth": -1}


def vision_text_consistency(features: Tensor, labels: Tensor, text: Tensor, unit_length: str = "channels") -> Tensor:
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
        unit_length: along what features are scaled: "channels", or "depth", the last spatial axis, as released.

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
    _check(features, text, unit_length)
    # scores of the shape that logits would have, of one number in memory
    scores = features.new_empty((1,)).expand(len(features), len(text), *features.shape[2:])
    classes = label_map(labels, scores, IGNORED)
    members = F.one_hot(classes + 1, len(text) + 1)[..., 1:].movedim(-1, 1)
    return _consistency(features, members, text, unit_length)


def weighted_vision_text_consistency(
    features: Tensor, shares: Tensor, text: Tensor, unit_length: str = "channels"
) -> Tensor:
    r"""The same with voxels that belong to several classes in part, so that each prototype is a weighted mean.

    .. math::
        L = \frac1{|C|} \sum_{c \in C} 1 - \cos\Big(\sum_v s_{vc} \frac{f_v}{\|f_v\|}, t_c\Big)

    For features of a coarse map each of whose voxels covers a block of the image: s is the share of the block that is
    of class c, which is what averaging over a mask of the image's resolution (eq. 4) comes to. The class of a single
    voxel of the block says little where the block is as large as the structure.

    Args:
        features: ``(B, d, *spatial)``.
        shares: ``(B, K, *spatial)``, not negative; 0 for all classes where a voxel does not count.
        text: ``(K, d)`` embeddings, without a gradient.
        unit_length: see :func:`vision_text_consistency`.

    Returns:
        A scalar, float32 or wider.

    Raises:
        ValueError: if the shapes do not fit together.

    Example:
        >>> features = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])  # two voxels of two channels
        >>> shares = torch.tensor([[[0.75, 0.0], [0.0, 0.0]]])  # three quarters of the first one is of class 0
        >>> weighted_vision_text_consistency(features, shares, text=torch.eye(2)).item()
        0.0

    """
    _check(features, text, unit_length)
    if shares.shape != (len(features), len(text), *features.shape[2:]):
        raise ValueError(
            f"expected shares (B, K, *spatial) for features {tuple(features.shape)} and text {tuple(text.shape)}, got "
            f"{tuple(shares.shape)}"
        )
    return _consistency(features, shares, text, unit_length)


def _check(features: Tensor, text: Tensor, unit_length: str) -> None:
    if text.ndim != 2 or features.ndim < 3 or text.shape[1] != features.shape[1]:
        raise ValueError(
            f"expected features (B, d, *spatial) and text (K, d), got {tuple(features.shape)} and {tuple(text.shape)}"
        )
    if unit_length not in UNIT_LENGTHS:
        raise ValueError(f"unit_length must be one of {tuple(UNIT_LENGTHS)}, got {unit_length!r}")


@in_float32
def _consistency(features: Tensor, shares: Tensor, text: Tensor, unit_length: str) -> Tensor:
    vectors = F.normalize(features, dim=UNIT_LENGTHS[unit_length]).transpose(0, 1).flatten(1)
    members = shares.detach().to(vectors.dtype).movedim(1, -1).flatten(0, -2)
    sums = (vectors @ members).T
    present = (members > 0).any(dim=0)
    losses = 1 - F.cosine_similarity(sums, text.detach().to(vectors.dtype), dim=1)
    return torch.where(present, losses, 0.0).sum() / present.sum().clamp(min=1)


class VisionTextConsistencyLoss(nn.Module):
    """:func:`vision_text_consistency` as a module."""

    def forward(self, features: Tensor, labels: Tensor, text: Tensor) -> Tensor:
        """Return the loss of ``(B, d, *spatial)`` under labels ``(B, *spatial)`` against ``(K, d)``."""
        return vision_text_consistency(features, labels, text)
