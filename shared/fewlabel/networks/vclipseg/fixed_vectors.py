"""Vectors in the place of embeddings of text, where no language model is at hand: they know nothing of the names."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# about what CLIP ViT-B/32 gives for "A pixel of a ...": names in one sentence are close, and no vector is short
CLIP_COSINE = 0.85
CLIP_LENGTH = 10.0


def stand_in(number: int, channels: int, cosine: float = CLIP_COSINE, length: float = CLIP_LENGTH) -> Tensor:
    r"""Return vectors (number, channels) of CLIP's geometry, always the same: of one length, any two at one angle.

    .. math:: t_c = \ell\, (\sqrt{\gamma}\, u_0 + \sqrt{1 - \gamma}\, u_c)

    with orthonormal u, a cosine \gamma between any two of them and the length \ell. A sentence that all names share
    makes CLIP's vectors alike, so most of each is common to all. That decides how strong prompts begin, which grow with
    the length, and how far the consistency drives classes apart, which is to the angle between the names.

    Args:
        number: of vectors.
        channels: of each, at least one more than there are vectors.
        cosine: between any two, in [0, 1).
        length: of each.

    Raises:
        ValueError: an argument is out of range.

    >>> vectors = stand_in(2, 8, cosine=0.5, length=4.0)
    >>> [[round(product, 3) for product in row] for row in (vectors @ vectors.T).tolist()]
    [[16.0, 8.0], [8.0, 16.0]]
    """
    if not 0 <= cosine < 1:
        raise ValueError(f"the cosine between stand-ins for text must be in [0, 1), got {cosine}")
    if not 0 < length < math.inf:
        raise ValueError(f"the length of stand-ins for text must be a number above 0, got {length}")
    if channels <= number:
        raise ValueError(f"{number} classes need at least {number + 1} channels of text, got {channels}")
    common, *own = orthonormal(number + 1, channels)
    vectors: Tensor = length * (math.sqrt(cosine) * common + math.sqrt(1 - cosine) * torch.stack(own))
    return vectors


def orthonormal(number: int, channels: int) -> Tensor:
    """Return unit vectors (number, channels) at right angles, always the same.

    Raises:
        ValueError: there are fewer channels than vectors.

    """
    if channels < number:
        raise ValueError(f"{number} classes need at least as many channels of text, got {channels}")
    drawn = torch.randn(channels, number, generator=torch.Generator().manual_seed(0))
    rotation: Tensor = torch.linalg.qr(drawn).Q
    return rotation.T.contiguous()
