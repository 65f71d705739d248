"""Gaussian noise of limited size, for the images of a teacher."""

from __future__ import annotations

import torch
from torch import Tensor


def limited_noise(images: Tensor, std: float = 0.1, limit: float = 0.2) -> Tensor:
    """Return images (B, C, *spatial) with noise of a standard deviation, cut off at a limit, in units of intensity.

    As the studies on the left atrium and their successors add it; the generator is that of the images' device.

    >>> limited_noise(torch.zeros(1, 1, 64, 64)).abs().max()
    tensor(0.2000)
    """
    plain = images.as_subclass(Tensor)
    return plain + (std * torch.randn_like(plain)).clamp(-limit, limit)


def require_noise(std: float, limit: float) -> None:
    """Refuse what is no noise of :func:`limited_noise`, by the names that methods give its arguments.

    Raises:
        ValueError: one of them is negative.
    """
    if std < 0 or limit < 0:
        raise ValueError(f"noise and noise_limit must be 0 or more, got {std} and {limit}")
