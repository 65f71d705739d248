"""Projectors of the features of two different networks into one space, where a loss can contrast them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from fewlabel.conventions.precision import in_float32
from fewlabel.networks.feature_network import FeatureNetwork


class ContrastProjector(nn.Module):
    """Projects two networks' maps of one scale onto the unit sphere of a shared space.

    z = normalize(shared(relu(own(f)))): a 1x1 convolution per network, ReLU, and a 1x1 convolution both share, so
    that similarity is measured on the same axes. Liu et al., "Multi-Scale Cross Contrastive Learning for
    Semi-Supervised Medical Image Segmentation", BMVC 2023.

    Args:
        in_channels_a: channels of network a's map.
        in_channels_b: channels of network b's map.
        hidden: channels between the two convolutions.
        out: channels of the shared space.
        norm_b: LayerNorm over the channels of b's map first; for the inner maps of a Transformer, whose residual
            stream has no fixed scale.

    Example:
        >>> import torch
        >>> projector = ContrastProjector(16, 96)
        >>> za, zb = projector(torch.rand(2, 16, 8, 8), torch.rand(2, 96, 8, 8))
        >>> tuple(za.shape), bool(torch.allclose(za.norm(dim=1), torch.ones(2, 8, 8)))
        ((2, 128, 8, 8), True)

    """

    def __init__(
        self, in_channels_a: int, in_channels_b: int, hidden: int = 256, out: int = 128, norm_b: bool = False
    ) -> None:
        super().__init__()
        self.own_a = nn.Conv2d(in_channels_a, hidden, kernel_size=1)
        self.own_b = nn.Conv2d(in_channels_b, hidden, kernel_size=1)
        self.norm_b = nn.LayerNorm(in_channels_b) if norm_b else None
        self.shared = nn.Conv2d(hidden, out, kernel_size=1)

    def forward(self, features_a: Tensor, features_b: Tensor) -> tuple[Tensor, Tensor]:
        """Project both maps, or pixels of both.

        Args:
            features_a: (B, in_channels_a, H, W), or single pixels (n, in_channels_a).
            features_b: (B, in_channels_b, H, W) or (n, in_channels_b); its B, H, W or n may differ from a's.

        Returns:
            Two maps (B, out, H, W), or lists of pixels (n, out), of unit length over the channels.

        Raises:
            ValueError: if a map has the wrong number of channels.

        """
        for name, own, features in (("a", self.own_a, features_a), ("b", self.own_b, features_b)):
            if features.ndim not in (2, 4) or features.shape[1] != own.in_channels:
                raise ValueError(
                    f"features_{name} must be (B, {own.in_channels}, H, W) or (n, {own.in_channels}), got "
                    f"{tuple(features.shape)}; in_channels_{name} is the network's feature_channels at this stride."
                )
        if self.norm_b is not None:
            features_b = self.norm_b(features_b.movedim(1, -1)).movedim(-1, 1)
        return self._project(self.own_a, features_a), self._project(self.own_b, features_b)

    def _project(self, own: nn.Conv2d, features: Tensor) -> Tensor:
        return _unit_length(_pointwise(self.shared, F.relu(_pointwise(own, features))))


@in_float32
def _unit_length(vectors: Tensor) -> Tensor:
    """Scale vectors to unit length along their channels; in bfloat16 lengths would be off by up to 0.4 %."""
    return F.normalize(vectors, dim=1)


def _pointwise(convolution: nn.Conv2d, features: Tensor) -> Tensor:
    if features.ndim == 2:  # a list of pixels, maybe an empty one
        return F.linear(features, convolution.weight.flatten(1), convolution.bias)
    result: Tensor = convolution(features)
    return result


def build_projectors(cnn: FeatureNetwork, transformer: FeatureNetwork, strides: Collection[int]) -> nn.ModuleDict:
    """Make one projector for each scale at which two networks' maps are contrasted.

    Args:
        cnn: a network with ``feature_channels``.
        transformer: the second network, with the same.
        strides: of the maps that are contrasted.

    Returns:
        A projector by stride; the strides are strings, as the keys of PyTorch's module dicts must be.

    Raises:
        ValueError: a stride is not one that both networks have.
    """
    for network in (cnn, transformer):
        offered = _channels(network)
        missing = set(strides) - set(offered)
        if missing:
            raise ValueError(
                f"{type(network).__name__} has no feature maps at the strides {sorted(missing)}; it has them at "
                f"{sorted(offered)}"
            )
    return nn.ModuleDict(
        {
            str(stride): ContrastProjector(
                _channels(cnn)[stride],
                _channels(transformer)[stride],
                # the Transformer's full-resolution map has been through its own normalization
                norm_b=stride != 1,
            )
            for stride in strides
        }
    )


def _channels(network: FeatureNetwork) -> Mapping[int, int]:
    """Channels of a network's maps by stride, empty for a network that shows none."""
    offered: Mapping[int, int] = getattr(network, "feature_channels", {})
    return offered
