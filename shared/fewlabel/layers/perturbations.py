"""Perturbations of an encoder's feature maps, under which decoders are to agree."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def feature_noise(maps: Tensor, limit: float = 0.3) -> Tensor:
    r"""Scale each value by a factor of its own.

    .. math:: z' = z\,(1 + n), \qquad n \sim \mathcal U(-l, l)

    F-Noise of Ouali et al., "Semi-supervised semantic segmentation with cross-consistency training", CVPR 2020, sec.
    3.2. The generator is that of the maps' device.

    Args:
        maps: (B, C, *spatial).
        limit: l; 0 changes nothing.

    >>> feature_noise(torch.zeros(1, 2, 4, 4)).abs().max()  # what is 0 stays 0
    tensor(0.)
    """
    return maps * (1 + torch.empty_like(maps).uniform_(-limit, limit))


def feature_dropout(maps: Tensor, probability: float = 0.3) -> Tensor:
    """Set single values of maps (B, C, *spatial) to 0 at random, and scale up the others so that the mean stays.

    The generator is that of the maps' device.

    >>> feature_dropout(torch.ones(1, 1, 2, 2), probability=0.0).sum()
    tensor(4.)
    """
    return F.dropout(maps, probability, training=True)


def drop_attended(maps: Tensor, low: float = 0.7, high: float = 0.9) -> Tensor:
    r"""Set the most active places to 0, in all channels.

    .. math:: z'_v = z_v\,[a_v < \gamma \max_w a_w], \qquad a_v = \frac1C \sum_c z_{cv},
        \quad \gamma \sim \mathcal U(l, h)

    F-Drop of Ouali et al., CVPR 2020, sec. 3.2: decoders must find a structure without what shows it best. Each image
    has a :math:`\gamma` of its own, from the generator of the maps' device. Where the largest mean is negative, nothing
    reaches a share of it from below, and the map stays as it is.

    Args:
        maps: (B, C, *spatial).
        low: l.
        high: h.

    >>> drop_attended(torch.tensor([[[0.2, 1.0, 0.5]]]))
    tensor([[[0.2000, 0.0000, 0.5000]]])
    """
    attention = maps.detach().mean(dim=1, keepdim=True)
    one_for_each_image = (len(maps), *[1] * (maps.ndim - 1))
    threshold = torch.empty(one_for_each_image, device=maps.device).uniform_(low, high)
    kept = attention < threshold * attention.amax(dim=tuple(range(1, maps.ndim)), keepdim=True)
    return maps * kept
