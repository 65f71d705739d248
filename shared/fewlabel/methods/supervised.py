"""Supervised training on the labeled images alone, the baseline of every method."""

from __future__ import annotations

from torch import Tensor, nn

from fewlabel.losses import supervised_loss
from fewlabel.methods.base import Batch, Method, labeled_part


class Supervised(Method):
    """Cross-entropy and Dice on the labeled images; unlabeled ones are not used.

    Terms: ``supervised``.

    Args:
        network: maps images (B, C, *spatial) to logits (B, K, *spatial).
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self._loss = supervised_loss()

    def forward(self, batch: Batch, progress: float = 0.0) -> dict[str, Tensor]:
        """Return the loss term, see :meth:`Method.forward`."""
        labeled = labeled_part(batch)
        return {"supervised": self._loss(self.network(labeled["image"]).float(), labeled["label"])}
