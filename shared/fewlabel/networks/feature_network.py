"""The interface of networks that show their decoder's feature maps, and their output for a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

Passes = Literal["joint", "separate"]


class FeatureNetwork(Protocol):
    """A segmentation network with ``head(features(x)[1]) == forward(x)``, such as UNet, SwinUnet and CSUNet."""

    @property
    def head(self) -> Callable[[Tensor], Tensor]:
        """Map the features at full resolution to logits."""

    @property
    def feature_channels(self) -> Mapping[int, int]:
        """Channels of the feature maps by stride."""

    def features(self, x: Tensor) -> dict[int, Tensor]:
        """Return feature maps (B, C_stride, H / stride, W / stride) by stride."""


class EncoderDecoder(Protocol):
    """A network with ``decode(encode(x)) == forward(x)``, so that what is between can be perturbed."""

    def __call__(self, x: Tensor) -> Tensor:
        """Map images (B, C, *spatial) to logits (B, K, *spatial)."""

    def encode(self, x: Tensor) -> list[Tensor]:
        """Return the encoder's maps, finest first."""

    def decode(self, maps: list[Tensor]) -> Tensor:
        """Map the encoder's maps to logits."""


@dataclass(frozen=True)
class NetworkOutput:
    """One network's output for a batch: features by stride and logits, labeled images first."""

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


def forward_features(
    network: FeatureNetwork, labeled: Tensor, unlabeled: Tensor | None, passes: Passes
) -> NetworkOutput:
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
        first = network.features(labeled)
        second = network.features(unlabeled)
        features = {stride: torch.cat([first[stride], second[stride]]) for stride in first}
    return NetworkOutput(features, network.head(features[1]).float(), len(labeled))


def forward_logits(network: Callable[[Tensor], Tensor], labeled: Tensor, unlabeled: Tensor | None) -> NetworkOutput:
    """Run any network over a batch, labeled and unlabeled images together, for its logits alone.

    Args:
        network: maps images (B, C, *spatial) to logits (B, K, *spatial).
        labeled: labeled images (B, C, *spatial).
        unlabeled: unlabeled images (U, C, *spatial) or None.
    """
    images = labeled if unlabeled is None else torch.cat([labeled, unlabeled])
    # plain tensors: MONAI's geometry tracking costs time in every operation
    return NetworkOutput({}, network(images.as_subclass(Tensor)).float(), len(labeled))


def drop_channels(maps: Sequence[Tensor], probability: float) -> list[Tensor]:
    """Set whole channels of an encoder's maps (B, C, *spatial) to 0 at random, and scale up the others."""
    drop = F.dropout2d if maps[0].ndim == 4 else F.dropout3d
    return [drop(one, probability, training=True) for one in maps]


def check_passes(passes: str) -> Passes:
    """Return a valid value of ``passes``.

    Raises:
        ValueError: it is neither "joint" nor "separate".
    """
    if passes not in ("joint", "separate"):
        raise ValueError(f'passes must be "joint" or "separate", got {passes!r}')
    return "joint" if passes == "joint" else "separate"
