"""The mean Dice that chooses the best weights: the one of the strict protocol, as the report gives it."""

from __future__ import annotations

import math
from typing import Any

import torch
from monai.metrics import CumulativeIterationMetric
from torch import Tensor


class StrictDice(CumulativeIterationMetric):
    r"""Mean Dice over volumes under the strict protocol, see :func:`fewlabel.metrics.scores`.

    .. math::
        \frac1{|V|} \sum_{v \in V} \frac1{|C_v|} \sum_{c \in C_v} \frac{2 |P_{vc} \cap R_{vc}|}{|P_{vc}| + |R_{vc}|}

    with :math:`C_v` the classes other than the background that prediction P or reference R of volume v holds, and V the
    volumes that have such a class. So a class that both leave out is not counted, and one that only the prediction or
    only the reference holds counts 0. It equals the row "mean" of :func:`fewlabel.reports.summarize`.

    nan where no reference holds any class: there is nothing to measure. Otherwise weights that predict some voxels,
    all of them wrong, would have a score, 0, and those that rightly predict none would have none.

    A metric of MONAI: call it with one-hot predictions and references, and :meth:`aggregate` them. Voxels that nobody
    annotated are 0 in all classes of both, see :func:`fewlabel.handlers.counted_pairs`.

    Example:
        >>> dice = StrictDice()
        >>> reference = torch.tensor([[[1, 0, 0, 0]], [[0, 1, 1, 0]], [[0, 0, 0, 1]]])
        >>> prediction = torch.tensor([[[1, 1, 0, 0]], [[0, 0, 1, 1]], [[0, 0, 0, 0]]])
        >>> _ = dice([prediction], [reference])
        >>> dice.aggregate()  # 2 * 1 / (2 + 2) of the one class, 0 of the one that is not found
        0.25

    """

    def _compute_tensor(self, y_pred: Tensor, y: Tensor | None = None, **_: Any) -> Tensor:
        r"""Return (B, K - 1, 3) of one-hot (B, K, \*spatial): voxels of both, of the prediction, of the reference."""
        if y is None or y.shape != y_pred.shape:
            found = "none" if y is None else tuple(y.shape)
            raise ValueError(f"expected a reference of the prediction's shape {tuple(y_pred.shape)}, got {found}")
        predicted = y_pred.as_subclass(Tensor)[:, 1:].flatten(2) > 0
        reference = y.as_subclass(Tensor)[:, 1:].flatten(2) > 0
        counts = [mask.count_nonzero(dim=2) for mask in (predicted & reference, predicted, reference)]
        return torch.stack(counts, dim=2)

    def aggregate(self) -> float:
        """Return the mean over all volumes since the last reset, of all processes."""
        counts = self.get_buffer()
        if counts is None:
            return math.nan
        both, predicted, reference = counts.cpu().double().unbind(dim=2)
        if not reference.any():
            return math.nan
        return float((2 * both / (predicted + reference)).nanmean(dim=1).nanmean())
