"""Bending energy: how far a displacement field is from an affine one."""

from __future__ import annotations

import torch
from torch import Tensor

from fewlabel.conventions.precision import in_float32


@in_float32
def bending_energy(displacement: Tensor) -> Tensor:
    r"""Mean square of a field's second derivatives, in units of the image, so that it holds at any resolution.

    .. math:: E = \frac{1}{2V} \sum_v \sum_c \left(\partial_{yy} u_c\right)^2 + \left(\partial_{xx} u_c\right)^2
        + 2 \left(\partial_{yx} u_c\right)^2

    with u and the coordinates as shares of the image's sides. D. Rueckert et al., "Nonrigid registration using
    free-form deformations", IEEE TMI 1999, eq. 4; what ``monai.losses.BendingEnergyLoss(normalize=True)`` computes, of
    pixels whose neighbors are all in the image. (MONAI 1.6.1 indexes with lists, which PyTorch is to drop.)

    Args:
        displacement: in pixels, (B, 2, H, W): down, then to the right.

    Returns:
        A scalar; 0 for every affine transform.

    Raises:
        ValueError: the shape is another one, or a side has fewer than three pixels.

    >>> bending_energy(torch.arange(4.0).expand(1, 2, 4, 4))  # grows evenly to the right: a scaling
    tensor(0.)
    """
    if displacement.ndim != 4 or displacement.shape[1] != 2 or min(displacement.shape[2:]) < 3:
        raise ValueError(
            f"expected a displacement (B, 2, H, W) of at least 3 x 3 pixels, got {tuple(displacement.shape)}"
        )
    height, width = displacement.shape[2:]
    u = displacement / displacement.new_tensor([height, width]).view(2, 1, 1)
    middle = u[:, :, 1:-1, 1:-1]
    down = (u[:, :, 2:, 1:-1] - 2 * middle + u[:, :, :-2, 1:-1]) * height**2
    right = (u[:, :, 1:-1, 2:] - 2 * middle + u[:, :, 1:-1, :-2]) * width**2
    corners = u[:, :, 2:, 2:] - u[:, :, 2:, :-2] - u[:, :, :-2, 2:] + u[:, :, :-2, :-2]
    mixed = corners / 4 * height * width
    return torch.mean(down**2 + right**2 + 2 * mixed**2)
