"""Pseudo-labels cleaned of what lies apart."""

from __future__ import annotations

import torch
from monai.transforms import KeepLargestConnectedComponent
from torch import Tensor


def largest_components(labels: Tensor, num_classes: int) -> Tensor:
    """Keep of each class but the background its largest connected component in each image; the rest is background.

    Args:
        labels: classes (B, 1, *spatial).
        num_classes: K, the background included.

    >>> largest_components(torch.tensor([[[[1, 0, 1, 1]]]]), num_classes=2).tolist()
    [[[[0, 0, 1, 1]]]]
    """
    clean = KeepLargestConnectedComponent(applied_labels=range(1, num_classes), is_onehot=False)
    plain = labels.as_subclass(Tensor)
    kept = [clean(one).as_subclass(Tensor) for one in plain]
    return torch.stack(kept).to(plain.dtype) if kept else plain
