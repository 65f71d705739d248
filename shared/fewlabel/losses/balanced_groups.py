"""The class-balanced contrastive loss of many groups and its gradient, tile by tile: no n x n matrix is kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

# Up to this similarity over temperature, exp() and its sums stay well inside float32's range without a shift.
SAFE_EXPONENT = 40.0


def group_losses(
    features: Tensor, labels: Tensor, temperature: float, ignore_index: int | None, divide_by: str = "anchors"
) -> tuple[Tensor, Tensor]:
    """Balanced contrastive loss of each group: a tile of the similarities gives the loss and its gradient at once.

    The gradient of the loss of each group waits in a tensor of the features' shape, to be scaled by the backward pass.

    Args:
        features: (g, n, d), float32 or float64.
        labels: (g, n), integers.
        temperature: divides the similarities.
        ignore_index: label of the pixels to leave out, if any.
        divide_by: "anchors", or "pixels" for all that are not left out.

    Returns:
        The losses (g,), 0 for a group without anchors, and which pixels are anchors (g, n).

    """
    if labels.numel() == 0:
        return features.sum(dim=(1, 2)), torch.zeros_like(labels, dtype=torch.bool)
    classes, counts = class_ids(labels)
    kept = torch.ones_like(labels, dtype=torch.bool) if ignore_index is None else labels != ignore_index
    anchors = kept & (counts > 1)
    divisor = (anchors if divide_by == "anchors" else kept).sum(dim=1, keepdim=True)
    with_gradient = torch.is_grad_enabled() and features.requires_grad
    losses: Tensor = _BalancedContrastive.apply(  # type: ignore[no-untyped-call]
        features, classes, counts, kept, anchors, divisor, temperature, with_gradient
    )
    return losses, anchors


def class_ids(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Number the classes of each group from 0 in the order of their labels, and count the pixels of each pixel's class.

    Args:
        labels: (g, n), integers of any value.

    Returns:
        The numbers and the counts, both (g, n).

    """
    ordered, order = labels.sort(dim=1)
    rank = torch.zeros_like(order)
    rank[:, 1:] = (ordered[:, 1:] != ordered[:, :-1]).cumsum(dim=1)
    classes = torch.empty_like(order).scatter_(1, order, rank)
    sizes = torch.zeros_like(order).scatter_add_(1, classes, torch.ones_like(order))
    return classes, sizes.gather(1, classes)


class _Pixels(NamedTuple):
    """Some groups, as the sums need them: features (c, n, d), and for each pixel (c, n)."""

    features: Tensor
    classes: Tensor  # as floats, which compare several times faster than integers
    share: Tensor  # 1 / |A_y|: the weight of a pixel in a sum over pixels; 0 if ignored
    lift: Tensor  # |A_y| / (|A_y| - 1): what the anchor's absence adds to that weight within its own class
    anchor: Tensor  # of an anchor 1 / (what the group's sum is divided by), 0 elsewhere
    temperature: float


class _BalancedContrastive(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        classes: Tensor,
        counts: Tensor,
        kept: Tensor,
        anchors: Tensor,
        divisor: Tensor,
        temperature: float,
        with_gradient: bool,
    ) -> Tensor:
        dtype = features.dtype
        number = int(classes.max()) + 1
        share = kept / counts.to(dtype)
        lift = counts / (counts - 1).clamp(min=1).to(dtype)
        anchor = anchors / divisor.clamp(min=1).to(dtype)
        length = torch.linalg.vector_norm(features, dim=2).max()
        bounded = bool(length.square() <= SAFE_EXPONENT * temperature)
        gradient = features.new_zeros(features.shape) if with_gradient else None
        losses = features.new_zeros(len(features))
        for part in _parts(features):
            pixels = _Pixels(
                features[part].contiguous(),
                classes[part].to(dtype),
                share[part],
                lift[part],
                anchor[part],
                temperature,
            )
            slope = None if gradient is None else gradient[part]
            log_sum = (_symmetric if bounded else _by_rows)(pixels, slope)
            attraction = _attraction(pixels, classes[part], number, slope)
            losses[part] = torch.where(pixels.anchor > 0, (log_sum - attraction) * pixels.anchor, 0.0).sum(dim=1)
        if gradient is not None:
            ctx.save_for_backward(gradient)
        return losses

    @staticmethod
    def backward(ctx: Any, grad_losses: Tensor) -> tuple[Tensor | None, ...]:
        # once_differentiable would stay silent where grad_losses is a constant, and the second gradient would be wrong.
        if torch.is_grad_enabled():
            raise RuntimeError("balanced_contrastive can be differentiated only once: leave out create_graph=True")
        (gradient,) = ctx.saved_tensors
        return (gradient * grad_losses[:, None, None], *[None] * 7)


def _attraction(pixels: _Pixels, classes: Tensor, number: int, slope: Tensor | None) -> Tensor:
    """Mean similarity to the other members of the class (c, n): linear in the class sums, so it needs no matrix."""
    features = pixels.features
    index = classes[..., None].expand_as(features)
    sums = features.new_zeros(len(features), number, features.shape[2]).scatter_add_(1, index, features)
    others = sums.gather(1, index).sub_(features).mul_((pixels.lift * pixels.share / pixels.temperature)[..., None])
    if slope is not None:
        slope.addcmul_(others, pixels.anchor[..., None], value=-2.0)  # each pixel is an anchor and a positive
    return (features * others).sum(dim=2)


def _symmetric(pixels: _Pixels, slope: Tensor | None) -> Tensor:
    """Logarithm of the denominators (c, n) for bounded similarities: half the matrix says it all.

    exp(s) is symmetric, and the weights of (i, k) and (k, i) are products of a part of i and a part of k, so a tile on
    or above the diagonal serves its mirror image as well. Tiles wait for the denominators while memory lasts.
    """
    features = pixels.features
    share = pixels.share
    total = torch.zeros_like(share)
    waiting: dict[int, Tensor] = {}
    free = _max_elements(features)
    for rows, rest, below in _tiles(features):
        tile = _lifted(pixels, rows, rest).exp_()
        total[:, rows] += torch.bmm(tile, share[:, rest, None])[..., 0]
        total[:, below] += torch.bmm(tile[:, :, _size(rows) :].mT, share[:, rows, None])[..., 0]
        if slope is not None and tile.numel() <= free:
            free -= tile.numel()
            waiting[rows.start] = tile
    if slope is not None:
        rate = torch.where(pixels.anchor > 0, pixels.anchor / (total * pixels.temperature), 0.0)
        for rows, rest, below in _tiles(features):
            waited = waiting.pop(rows.start, None)
            tile = _lifted(pixels, rows, rest).exp_() if waited is None else waited
            weight = rate[:, rows, None] * share[:, None, rest]
            tile.mul_(weight.addcmul_(share[:, rows, None], rate[:, None, rest]))
            slope[:, rows] += torch.bmm(tile, features[:, rest])
            slope[:, below] += torch.bmm(tile[:, :, _size(rows) :].mT, features[:, rows])
    return total.log()


def _by_rows(pixels: _Pixels, slope: Tensor | None) -> Tensor:
    """Logarithm of the denominators (c, n) for any similarities: whole rows, each shifted by its own maximum."""
    features = pixels.features
    log_share = pixels.share.log()
    whole = slice(0, features.shape[1])
    log_sums = []
    for rows, _, _ in _tiles(features):
        tile = _lifted(pixels, rows, whole).add_(log_share[:, None])
        log_sum = tile.logsumexp(dim=2, keepdim=True)
        log_sums.append(log_sum[..., 0])
        if slope is not None:
            anchor = pixels.anchor[:, rows, None]
            tile.sub_(torch.where(anchor > 0, log_sum, torch.inf)).exp_().mul_(anchor / pixels.temperature)
            slope[:, rows] += torch.bmm(tile, features)
            slope += torch.bmm(tile.mT, features[:, rows])
    return torch.cat(log_sums, dim=1)


def _lifted(pixels: _Pixels, rows: slice, columns: slice) -> Tensor:
    """Similarity over temperature of rows and columns, plus log(lift) within a class; -inf for a pixel and itself."""
    features = pixels.features
    classes = pixels.classes
    tile = torch.bmm(features[:, rows] / pixels.temperature, features[:, columns].mT)
    own = torch.empty_like(tile)
    torch.eq(classes[:, rows, None], classes[:, None, columns], out=own)
    tile.addcmul_(own, pixels.lift[:, rows, None].log())
    tile.diagonal(offset=rows.start - columns.start, dim1=1, dim2=2).fill_(-torch.inf)
    return tile


def _max_elements(features: Tensor) -> int:
    """Elements of exp(s) held at once: about 33 MB in float32 on a CPU, 0.5 GB on an accelerator."""
    return 2**23 if features.device.type == "cpu" else 2**27


def _parts(features: Tensor) -> Iterator[slice]:
    """Groups taken together, as many as memory holds the matrices of."""
    groups, n = features.shape[:2]
    step = max(1, _max_elements(features) // n**2)
    return (slice(start, min(start + step, groups)) for start in range(0, groups, step))


def _tiles(features: Tensor) -> Iterator[tuple[slice, slice, slice]]:
    """Rows of a tile, the columns from the diagonal on, and the columns behind the tile's square on the diagonal."""
    groups, n = features.shape[:2]
    step = max(64, _max_elements(features) // (8 * groups * n))
    for start in range(0, n, step):
        stop = min(start + step, n)
        yield slice(start, stop), slice(start, n), slice(stop, n)


def _size(rows: slice) -> int:
    return int(rows.stop - rows.start)
