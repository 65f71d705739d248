"""Maps the features of two different networks into one space, where they can be contrasted."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


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
        return F.normalize(_pointwise(self.shared, F.relu(_pointwise(own, features))), dim=1)


def _pointwise(convolution: nn.Conv2d, features: Tensor) -> Tensor:
    if features.ndim == 2:  # a list of pixels, maybe an empty one
        return F.linear(features, convolution.weight.flatten(1), convolution.bias)
    result: Tensor = convolution(features)
    return result
