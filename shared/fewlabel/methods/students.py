"""Two networks that look at the same batch: the part that the cross-teaching methods share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from fewlabel.methods.base import hard_labels, pseudo_label_loss, supervised_loss

Passes = Literal["joint", "separate"]


class FeatureNetwork(Protocol):
    """A segmentation network that also shows its decoder's feature maps, keyed by stride."""

    head: nn.Module
    feature_channels: dict[int, int]

    def features(self, x: Tensor) -> dict[int, Tensor]:
        """Return feature maps (B, C_stride, H / stride, W / stride) by stride."""


@dataclass(frozen=True)
class View:
    """What one network makes of a batch: features by stride and logits, labeled images first."""

    features: Mapping[int, Tensor]
    logits: Tensor
    num_labeled: int

    @property
    def labeled(self) -> Tensor:
        """Logits of the labeled images."""
        return self.logits[: self.num_labeled]

    @property
    def unlabeled(self) -> Tensor:
        """Logits of the unlabeled images, none where the batch has none."""
        return self.logits[self.num_labeled :]


def look(network: FeatureNetwork, labeled: Tensor, unlabeled: Tensor | None, passes: Passes) -> View:
    """Run a network over a batch.

    Args:
        network: the network.
        labeled: labeled images (B, C, H, W).
        unlabeled: unlabeled images (U, C, H, W) or None.
        passes: "joint" sends labeled and unlabeled images through together, so that batch normalization sees one
            mixture (the released code); "separate" sends them through one after the other, so that the labeled
            images are normalized by their own statistics. Without batch statistics both give the same.
    """
    if unlabeled is None:
        features = network.features(labeled)
    elif passes == "joint":
        features = network.features(torch.cat([labeled, unlabeled]))
    else:
        first, second = network.features(labeled), network.features(unlabeled)
        features = {stride: torch.cat([first[stride], second[stride]]) for stride in first}
    return View(features, network.head(features[1]).float(), len(labeled))


class CrossTeachingTerms(nn.Module):
    """Supervised and cross pseudo supervision terms of a CNN and a Transformer (thesis eq. 4.1)."""

    def __init__(self) -> None:
        super().__init__()
        self._supervised, self._cross = supervised_loss(), pseudo_label_loss()

    def forward(self, cnn: View, transformer: View, label: Tensor) -> dict[str, Tensor]:
        """Return the terms ``supervised_*`` and ``cross_*``; cross terms are 0 without unlabeled images.

        Args:
            cnn: what the CNN made of the batch.
            transformer: what the Transformer made of it.
            label: labels (B, 1, H, W) of the labeled images.
        """
        terms = {
            "supervised_cnn": self._supervised(cnn.labeled, label),
            "supervised_transformer": self._supervised(transformer.labeled, label),
        }
        if len(cnn.unlabeled) == 0:
            zero = cnn.logits.new_zeros(())
            return {**terms, "cross_cnn": zero, "cross_transformer": zero}
        return {
            **terms,
            "cross_cnn": self._cross(cnn.unlabeled, hard_labels(transformer.unlabeled)),
            "cross_transformer": self._cross(transformer.unlabeled, hard_labels(cnn.unlabeled)),
        }


def check_passes(passes: str) -> Passes:
    """Return a valid value of ``passes``.

    Raises:
        ValueError: it is neither "joint" nor "separate".
    """
    if passes not in ("joint", "separate"):
        raise ValueError(f'passes must be "joint" or "separate", got {passes!r}')
    return "joint" if passes == "joint" else "separate"
