"""The label maps that the voxel-wise losses take: class indices, with or without MONAI's channel axis."""

from __future__ import annotations

import torch
from torch import Tensor


def label_map(target: Tensor, scores: Tensor, ignore_index: int) -> Tensor:
    """Check class indices against the scores they will be compared with, and bring them to one form.

    Args:
        target: ``(B, *spatial)`` or ``(B, 1, *spatial)`` class indices, of any type that holds whole numbers.
        scores: ``(B, K, *spatial)`` logits or probabilities.
        ignore_index: the value of voxels that do not count; any other value must be in 0 .. K-1.

    Returns:
        ``(B, *spatial)``, int64, a plain tensor.

    Raises:
        ValueError: if the shapes do not fit, or a value is no class index.

    """
    if scores.ndim < 3 or not scores.is_floating_point():
        raise ValueError(
            f"predictions must be floating point with shape (B, K, *spatial), got {scores.dtype} {tuple(scores.shape)}"
        )
    expected = (scores.shape[0], *scores.shape[2:])
    shape = tuple(target.shape)
    if shape not in (expected, (expected[0], 1, *expected[1:])):
        raise ValueError(
            f"target has shape {shape}, but predictions of shape {tuple(scores.shape)} need {expected} class indices "
            "(or the same with a channel axis of 1); turn a one-hot target into indices with .argmax(1)"
        )
    indices = target.detach().as_subclass(torch.Tensor).reshape(expected)
    if indices.is_floating_point() and bool((indices != indices.round()).any()):
        raise ValueError("target holds fractions, expected class indices; soft labels are not supported by this loss")
    indices = indices.long()
    wrong = (indices != ignore_index) & ((indices < 0) | (indices >= scores.shape[1]))
    if bool(wrong.any()):
        raise ValueError(
            f"target holds the value {indices[wrong][0].item()}, expected 0 .. {scores.shape[1] - 1} for predictions "
            f"of {scores.shape[1]} classes, or ignore_index={ignore_index}; map the labels to consecutive indices"
        )
    return indices
