"""Supervised training on the labeled images alone, the baseline of every method."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from fewlabel.losses import foreground_dice_loss, supervised_loss
from fewlabel.methods.base import Batch, Method, labeled_part

LOSSES: dict[str, Callable[[], nn.Module]] = {"dice_ce": supervised_loss, "foreground_dice": foreground_dice_loss}


class Supervised(Method):
    """A loss of the labeled images; unlabeled ones are not used.

    Terms: ``supervised``.

    Args:
        network: maps images (B, C, *spatial) to logits (B, K, *spatial).
        loss: that of the methods it is compared with. "dice_ce" is :func:`fewlabel.losses.supervised_loss`, half
            cross-entropy, half Dice, of the studies on slices; "foreground_dice" is
            :func:`fewlabel.losses.foreground_dice_loss`, all that the studies on left atria learn from labels.

    Raises:
        ValueError: the loss is unknown.
    """

    def __init__(self, network: nn.Module, loss: str = "dice_ce") -> None:
        super().__init__()
        if loss not in LOSSES:
            raise ValueError(f"loss must be one of {tuple(LOSSES)}, got {loss!r}")
        self.network = network
        self._loss = LOSSES[loss]()

    def forward(self, batch: Batch, progress: float = 0.0) -> dict[str, Tensor]:
        """Return the loss term, see :meth:`Method.forward`."""
        labeled = labeled_part(batch)
        return {"supervised": self._loss(self.network(labeled["image"]).float(), labeled["label"])}
