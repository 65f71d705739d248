"""k-means cross-attention: each pixel gives its value to the one query it resembles most."""

from __future__ import annotations

import torch
from torch import Tensor


def kmax_attention(queries: Tensor, pixels: Tensor, values: Tensor, chunk_size: int = 16384) -> tuple[Tensor, Tensor]:
    r"""Assign every pixel to its most similar query, and sum the pixels' values per query.

    .. math::
        a_p = \arg\max_n \langle c_n, x_p \rangle, \qquad \hat c_n = \sum_{p : a_p = n} v_p

    The argmax runs over the N queries, not over the pixels as in ordinary cross-attention, and lets no gradient
    through: queries and pixels learn from what follows, the values from the sum. Backward keeps the assignment alone,
    O(P), never a P x N matrix, and forward holds one of chunk_size x N at a time.

    Yu et al., "k-means mask transformer", ECCV 2022; DK-UXNet, ISBI 2024, eq. 2. The residual and the norms around
    the update are the layer's.

    Args:
        queries: ``(b, N, d)``, the cluster centers.
        pixels: ``(b, P, d)``, compared with the queries in float32 or wider.
        values: ``(b, P, dv)``.
        chunk_size: how many pixels are compared at once; memory for speed.

    Returns:
        ``updated`` ``(b, N, dv)``, zero for a query without pixels, in float32 or wider because a query may collect
        a million pixels; ``assignment`` ``(b, P)`` int64, the lowest index where queries tie.

    Raises:
        ValueError: if the shapes do not fit together, a type is not floating point, or there is no query.

    Example:
        >>> queries = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
        >>> pixels = torch.tensor([[[2.0, 1.0], [0.0, 3.0], [5.0, 5.0]]])  # the last one ties
        >>> updated, assignment = kmax_attention(queries, pixels, values=torch.tensor([[[1.0], [10.0], [100.0]]]))
        >>> assignment.tolist(), updated.tolist()
        ([[0, 1, 0]], [[[101.0], [10.0]]])

    """
    if not torch.jit.is_scripting():  # type: ignore[attr-defined]
        _check(queries, pixels, values, chunk_size)
    batch = queries.shape[0]
    clusters = queries.shape[1]
    assignment = _nearest(queries.detach(), pixels.detach(), chunk_size)
    first_row = torch.arange(0, batch * clusters, clusters, device=queries.device)[:, None]
    summed = values.to(torch.promote_types(values.dtype, torch.float32)).flatten(0, 1)
    row = (assignment + first_row).flatten()[:, None].expand_as(summed)
    # Not index_add, which keeps the values for backward as well as the index.
    updated = summed.new_zeros(batch * clusters, values.shape[2]).scatter_add(0, row, summed)
    return updated.view(batch, clusters, values.shape[2]), assignment


def _nearest(queries: Tensor, pixels: Tensor, chunk_size: int) -> Tensor:
    """Return the index of the query with the largest dot product for each pixel, ``(b, P)``; both are detached."""
    # Rounded to half precision, the largest products would tie by the dozen and always favor the first query.
    if torch.jit.is_scripting():  # type: ignore[attr-defined]
        return _compare(queries, pixels, chunk_size)  # TorchScript takes no device of autocast that is not a constant
    with torch.autocast(queries.device.type, enabled=False):
        return _compare(queries, pixels, chunk_size)


def _compare(queries: Tensor, pixels: Tensor, chunk_size: int) -> Tensor:
    wide = torch.promote_types(torch.promote_types(queries.dtype, pixels.dtype), torch.float32)
    centers = queries.to(wide).transpose(1, 2)
    chunks = [(chunk.to(wide) @ centers).argmax(dim=2) for chunk in torch.split(pixels, chunk_size, dim=1)]
    return torch.cat(chunks, dim=1)


def _check(queries: Tensor, pixels: Tensor, values: Tensor, chunk_size: int) -> None:
    shapes = f"queries {tuple(queries.shape)}, pixels {tuple(pixels.shape)}, values {tuple(values.shape)}"
    if not queries.ndim == pixels.ndim == values.ndim == 3:
        raise ValueError(f"expected queries (b, N, d), pixels (b, P, d), values (b, P, dv), got {shapes}")
    if not queries.shape[0] == pixels.shape[0] == values.shape[0]:
        raise ValueError(f"queries, pixels and values must have one batch size, got {shapes}")
    if queries.shape[2] != pixels.shape[2]:
        raise ValueError(f"queries and pixels must have the same number of channels (last axis), got {shapes}")
    if pixels.shape[1] != values.shape[1]:
        raise ValueError(f"pixels and values must have the same number of pixels (middle axis), got {shapes}")
    if queries.shape[1] == 0:
        raise ValueError(f"there must be at least one query, got {shapes}")
    if not (queries.is_floating_point() and pixels.is_floating_point() and values.is_floating_point()):
        raise ValueError(
            f"queries, pixels and values must be floating point, got {queries.dtype}, {pixels.dtype}, {values.dtype}"
        )
    if chunk_size < 1:
        raise ValueError(f"chunk_size must be at least 1, got {chunk_size}")
