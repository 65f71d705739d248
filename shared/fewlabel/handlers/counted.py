"""What metrics compare: predictions and references without the voxels that nobody annotated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch


def counted_pairs(output: Sequence[Mapping[str, Any]]) -> tuple[list[Any], list[Any]]:
    """Return the predictions and the references of an evaluator's cases, for MONAI's metrics.

    Args:
        output: cases with one-hot ``pred`` and ``label`` (K, *spatial), see
            :class:`fewlabel.transforms.OneHotClassesd`.

    Returns:
        Both as lists; of a voxel that nobody annotated all values are 0 in both.
    """
    return [case["pred"] * counted_voxels(case["label"]) for case in output], [case["label"] for case in output]


def counted_voxels(label: torch.Tensor) -> torch.Tensor:
    """Return where somebody annotated, (1, *spatial) bool, of a one-hot label (K, *spatial).

    >>> counted_voxels(torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])).tolist()
    [[True, True, False]]
    """
    return label.as_subclass(torch.Tensor).any(dim=0, keepdim=True)
