"""Random boxes as masks, for images of two or three dimensions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def side_boxes(
    count: int, spatial: Sequence[int], fraction: float = 2 / 3, generator: torch.Generator | None = None
) -> Tensor:
    """Draw boxes that take the same fraction of each side, at random places.

    Bai et al., "Bidirectional copy-paste for semi-supervised medical image segmentation", CVPR 2023, with 2/3.

    Args:
        count: how many boxes, B.
        spatial: sizes of the image, two or three.
        fraction: of each side, in (0, 1].
        generator: where the randomness comes from, PyTorch's own if not given; on the CPU.

    Returns:
        (B, 1, *spatial) bool, true inside the box.

    Raises:
        ValueError: the fraction is out of range.
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction must be in (0, 1], got {fraction}")
    sides = [max(1, int(size * fraction)) for size in spatial]
    return _stack([_box(spatial, sides, generator) for _ in range(count)], spatial)


def area_boxes(
    count: int,
    spatial: Sequence[int],
    area: tuple[float, float] = (0.02, 0.4),
    ratio: tuple[float, float] = (0.3, 1 / 0.3),
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw boxes whose area (or volume) and proportions vary, at random places.

    As in the CutMix of UniMatch (Yang et al., CVPR 2023): a fraction of the area is drawn evenly, and the ratio of two
    sides evenly between its limits. In three dimensions the ratio is that of the first two sides, and the third has
    the fraction's share of its axis.

    Args:
        count: how many boxes, B.
        spatial: sizes of the image, two or three.
        area: least and largest fraction of the image's area.
        ratio: least and largest ratio of the first side to the second, in pixels.
        generator: where the randomness comes from, PyTorch's own if not given; on the CPU.

    Returns:
        (B, 1, *spatial) bool, true inside the box.

    Raises:
        ValueError: limits are out of range or in the wrong order.
    """
    if not 0 < area[0] <= area[1] <= 1:
        raise ValueError(f"area must be two fractions in (0, 1], the smaller first, got {area}")
    if not 0 < ratio[0] <= ratio[1]:
        raise ValueError(f"ratio must be two positive numbers, the smaller first, got {ratio}")
    boxes = []
    for _ in range(count):
        fraction = _between(*area, generator)
        proportion = _between(*ratio, generator)
        # equal shares of every axis give the fraction; the ratio then stretches one side and shrinks the other
        share = fraction ** (1 / len(spatial))
        sides = [share * size for size in spatial]
        plane = sides[0] * sides[1]
        sides[0] = math.sqrt(plane * proportion)
        sides[1] = math.sqrt(plane / proportion)
        whole = [min(size, max(1, round(side))) for size, side in zip(spatial, sides, strict=True)]
        boxes.append(_box(spatial, whole, generator))
    return _stack(boxes, spatial)


def _box(spatial: Sequence[int], sides: Sequence[int], generator: torch.Generator | None) -> Tensor:
    mask = torch.zeros(1, *spatial, dtype=torch.bool)
    inside = [slice(None)]
    for size, side in zip(spatial, sides, strict=True):
        start = int(torch.randint(size - side + 1, (), generator=generator))
        inside.append(slice(start, start + side))
    mask[tuple(inside)] = True
    return mask


def _stack(boxes: list[Tensor], spatial: Sequence[int]) -> Tensor:
    return torch.stack(boxes) if boxes else torch.zeros(0, 1, *spatial, dtype=torch.bool)


def _between(low: float, high: float, generator: torch.Generator | None) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator))
