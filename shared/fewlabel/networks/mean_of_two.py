"""Two networks whose mean logits are the prediction."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from fewlabel.parsing import parse_arguments


class MeanOfTwo(nn.Module):
    """Two networks as one, which gives the mean of their logits.

    Args:
        first: maps images (B, C, *spatial) to logits (B, K, *spatial).
        second: the same.

    >>> import torch
    >>> MeanOfTwo(nn.Identity(), nn.ReLU())(torch.tensor([[-2.0, 4.0]])).tolist()
    [[-1.0, 4.0]]
    """

    @parse_arguments
    def __init__(self, first: Any, second: Any) -> None:
        super().__init__()
        self.first = first
        self.second = second

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, *spatial) to logits (B, K, *spatial)."""
        logits: Tensor = (self.first(x) + self.second(x)) / 2
        return logits
