"""One projector for each scale at which the features of two students are contrasted."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from torch import nn

from fewlabel.networks import ContrastProjector


def projectors(cnn: nn.Module, transformer: nn.Module, strides: Collection[int]) -> nn.ModuleDict:
    """Make the projectors of both networks' maps, by stride; the strides are words, as in all of PyTorch's dicts.

    Args:
        cnn: network with ``feature_channels``.
        transformer: its partner.
        strides: of the maps that are contrasted.

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


def _channels(network: nn.Module) -> Mapping[int, int]:
    """Channels of a network's maps by stride, empty for a network that shows none."""
    offered: Mapping[int, int] = getattr(network, "feature_channels", {})
    return offered
