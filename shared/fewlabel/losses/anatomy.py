"""Anatomy similarity: a label map or segmentation that was warped onto another image, against that image's own."""

from __future__ import annotations

from torch import Tensor

from fewlabel.conventions.precision import in_float32


@in_float32
def anatomy_loss(warped: Tensor, fixed: Tensor, counted: Tensor | None = None, smooth: float = 1e-5) -> Tensor:
    r"""Soft Dice loss of two maps of class probabilities, over the pixels of a batch, averaged over all classes.

    .. math:: L_a = 1 - \frac1K \sum_k \frac{2 \sum_v c_v p_{vk} q_{vk} + s}{\sum_v c_v (p_{vk}^2 + q_{vk}^2) + s}

    Xu and Niethammer, "DeepAtlas: joint semi-supervised learning of image registration and segmentation", MICCAI 2019,
    call it the anatomy similarity loss. With squared denominators, as in :func:`fewlabel.losses.supervised_loss`, it is
    0 for maps that are equal, also where they are not sure of a class.

    Args:
        warped: p, (B, K, *spatial) in [0, 1], labels or segmentations that were moved onto the fixed images.
        fixed: q of the same shape, labels or segmentations of the fixed images.
        counted: c, (B, 1, *spatial), 0 where a pixel does not count; None counts all.
        smooth: s; a class that neither map shows has Dice 1.

    Returns:
        A scalar in [0, 1]; 0 with a graph if no pixel counts.

    Raises:
        ValueError: the shapes do not fit.

    >>> import torch
    >>> halves = torch.full((1, 2, 4, 4), 0.5)
    >>> anatomy_loss(halves, halves).abs() < 1e-6
    tensor(True)
    """
    if warped.shape != fixed.shape:
        raise ValueError(
            f"both maps must have one shape (B, K, *spatial), got {tuple(warped.shape)} and {tuple(fixed.shape)}"
        )
    expected = (warped.shape[0], 1, *warped.shape[2:])
    if counted is not None and tuple(counted.shape) != expected:
        raise ValueError(f"counted must have the shape {expected}, as the maps have, got {tuple(counted.shape)}")
    weight = warped.new_ones(()) if counted is None else counted.to(warped.dtype)
    over = (0, *range(2, warped.ndim))
    both = (weight * warped * fixed).sum(dim=over)
    sizes = (weight * (warped**2 + fixed**2)).sum(dim=over)
    return 1 - ((2 * both + smooth) / (sizes + smooth)).mean()
