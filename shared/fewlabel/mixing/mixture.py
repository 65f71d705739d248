"""Two batches of images mixed in both directions, with their labels and weights, and the way back."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fewlabel.mixing.masks import area_boxes, side_boxes


@dataclass(frozen=True)
class Mixture:
    r"""How much of each voxel comes from the first of two images, and what follows from it.

    Mixed in both directions, so that nothing of either batch is lost:

    .. math:: in_1 = M a + (1 - M) b, \qquad in_2 = M b + (1 - M) a

    Attributes:
        mask: M, (B, 1, *spatial) in [0, 1]; for boxes 0 inside the box and 1 outside.

    >>> mixture = copy_paste(2, (6, 6), generator=torch.Generator().manual_seed(0))
    >>> a, b = torch.rand(2, 1, 6, 6), torch.rand(2, 1, 6, 6)
    >>> one, other = mixture.undo(*mixture.images(a, b))
    >>> torch.equal(one, a), torch.equal(other, b)
    (True, True)
    """

    mask: Tensor

    def to(self, device: torch.device | str) -> Mixture:
        """Return the mixture on a device."""
        return Mixture(self.mask.to(device))

    @property
    def is_binary(self) -> bool:
        """Whether each voxel comes from one of the images alone, as in a box."""
        return bool(((self.mask == 0) | (self.mask == 1)).all())

    def images(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Mix images (B, C, *spatial) in both directions.

        Raises:
            ValueError: the images differ in shape from each other or from the mask.
        """
        self._check(first, second)
        mask = self.mask.to(first.dtype)
        if self.is_binary:
            taken = self.mask.bool()
            return torch.where(taken, first, second), torch.where(taken, second, first)
        return mask * first + (1 - mask) * second, mask * second + (1 - mask) * first

    def with_next(self, values: Tensor) -> Tensor:
        """Mix each image of a batch (B, C, *spatial) with the next one, and the last with the first.

        Where the mask is binary, label maps and weights too.

        Raises:
            ValueError: the batch differs in shape from the mask.
        """
        return self.images(values, values.roll(-1, dims=0))[0]

    def labels(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Mix label maps (B, 1, *spatial) of class indices as the images are mixed.

        Raises:
            ValueError: the maps differ in shape, or the mask blends images, for which labels have no mixture: weigh
                two losses with :attr:`mask` instead.
        """
        self._check(first, second)
        if not self.is_binary:
            raise ValueError("labels of blended images have no mixture: weigh the losses against both with the mask")
        taken = self.mask.bool()
        return torch.where(taken, first, second), torch.where(taken, second, first)

    def weights(self, first: Tensor | float, second: Tensor | float) -> tuple[Tensor, Tensor]:
        """Mix the weights of voxels, maps (B, 1, *spatial) or one number for each batch."""
        mask = self.mask.float()
        return mask * first + (1 - mask) * second, mask * second + (1 - mask) * first

    def undo(self, mixed: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        """Return the images, or what a network made of them, that were mixed.

        Exact for boxes. For blends it solves two equations, to rounding, and a mask of one half has no solution.

        Args:
            mixed: what came of ``in_1``, (B, C, *spatial).
            other: what came of ``in_2``.

        Raises:
            ValueError: the shapes differ, or the mask is one half somewhere.
        """
        self._check(mixed, other)
        if self.is_binary:
            taken = self.mask.bool()
            return torch.where(taken, mixed, other), torch.where(taken, other, mixed)
        mask = self.mask.to(mixed.dtype)
        determinant = 2 * mask - 1
        if bool((determinant == 0).any()):
            raise ValueError("images blended half and half cannot be told apart again: draw another fraction")
        return (mask * mixed - (1 - mask) * other) / determinant, (mask * other - (1 - mask) * mixed) / determinant

    def _check(self, first: Tensor, second: Tensor) -> None:
        expected = (self.mask.shape[0], *self.mask.shape[2:])
        for name, value in (("first", first), ("second", second)):
            if (value.shape[0], *value.shape[2:]) != expected:
                raise ValueError(
                    f"the {name} batch has the shape {tuple(value.shape)}, but the mixture is for {expected[0]} images "
                    f"of {expected[1:]}"
                )


def copy_paste(
    count: int, spatial: tuple[int, ...], fraction: float = 2 / 3, generator: torch.Generator | None = None
) -> Mixture:
    """Draw one box of a fraction of each side for all images of a batch (bidirectional copy-paste, CVPR 2023).

    Args:
        count: images of each batch, B.
        spatial: their sizes, two or three.
        fraction: of each side that the second image fills.
        generator: where the randomness comes from, PyTorch's own if not given; on the CPU.
    """
    box = side_boxes(1, spatial, fraction, generator)
    return Mixture((~box).expand(count, *box.shape[1:]))


def cut_mix(
    count: int,
    spatial: tuple[int, ...],
    prob: float = 1.0,
    area: tuple[float, float] = (0.02, 0.4),
    ratio: tuple[float, float] = (0.3, 1 / 0.3),
    generator: torch.Generator | None = None,
) -> Mixture:
    """Draw a box for each image (CutMix: French et al., BMVC 2020, with UniMatch's boxes).

    Args:
        count: images of each batch, B.
        spatial: their sizes, two or three.
        prob: with which an image is mixed at all.
        area: see :func:`fewlabel.mixing.area_boxes`.
        ratio: see :func:`fewlabel.mixing.area_boxes`.
        generator: where the randomness comes from, PyTorch's own if not given; on the CPU.

    Raises:
        ValueError: ``prob`` is no probability, or a limit of the boxes is out of range.
    """
    if not 0 <= prob <= 1:
        raise ValueError(f"prob must be in [0, 1], got {prob}")
    boxes = area_boxes(count, spatial, area, ratio, generator)
    mixed = torch.rand(count, generator=generator) < prob
    return Mixture(~(boxes & mixed.view(-1, *[1] * (boxes.ndim - 1))))


def mix_up(
    count: int, spatial: tuple[int, ...], alpha: float = 0.75, generator: torch.Generator | None = None
) -> Mixture:
    """Draw a fraction for each image, at least one half (mixup: Zhang et al., ICLR 2018; MixMatch takes the larger).

    Args:
        count: images of each batch, B.
        spatial: their sizes, two or three.
        alpha: of the Beta(alpha, alpha) distribution, 0.01 or more; below, random numbers underflow.
        generator: where the randomness comes from, PyTorch's own if not given; on the CPU.

    Raises:
        ValueError: alpha is too small.
    """
    if not alpha >= 0.01:
        raise ValueError(f"alpha must be 0.01 or more, got {alpha}")
    gammas = torch._standard_gamma(torch.full((2, count), float(alpha), dtype=torch.float64), generator=generator)
    fraction = (gammas[0] / gammas.sum(dim=0)).float()
    larger = torch.maximum(fraction, 1 - fraction)
    return Mixture(larger.view(-1, *[1] * (len(spatial) + 1)).expand(count, 1, *spatial))
