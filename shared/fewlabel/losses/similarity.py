"""Cosine similarities divided by a temperature: the logits of every loss that contrasts vectors of any length."""

from __future__ import annotations

import torch
from torch import Tensor

from fewlabel.conventions.precision import in_float32


def unit_vectors(vectors: Tensor) -> Tensor:
    """Scale each row to unit length, and leave a zero row, which has no direction, at zero without a gradient.

    Args:
        vectors: ``(n, d)``.

    Returns:
        ``(n, d)``, of the same type.

    """
    length = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
    # The clamp keeps the discarded branch finite: an infinity there would reach the gradient as 0 x inf.
    return torch.where(length > 0, vectors / length.clamp_min(torch.finfo(vectors.dtype).tiny), 0.0)


@in_float32
def cosine_logits(rows: Tensor, columns: Tensor, temperature: float) -> Tensor:
    r"""Every row's cosine similarity with every column, divided by the temperature: :math:`\cos(r_i, c_j) / \tau`.

    Computed in float32 or wider, also under autocast: half precision cannot hold cosines that a small temperature
    has multiplied by ten or more.

    Args:
        rows: ``(n, d)``, of any length.
        columns: ``(m, d)``, of any length.
        temperature: a positive number.

    Returns:
        ``(n, m)``.

    Raises:
        ValueError: if the temperature is not positive.

    """
    check_temperature(temperature)
    wide = torch.promote_types(rows.dtype, columns.dtype)
    return unit_vectors(rows.to(wide)) @ unit_vectors(columns.to(wide)).T / temperature


def check_temperature(temperature: float) -> None:
    """Make sure that similarities can be divided by a temperature.

    Raises:
        ValueError: if it is not positive.

    """
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, got {temperature}; the papers use 0.1")


def check_pairs(first: Tensor, second: Tensor, names: tuple[str, str]) -> None:
    """Make sure that row i of one matrix can be paired with row i of the other.

    Args:
        first: ``(n, d)`` with n at least 1.
        second: ``(n, d)``.
        names: what the caller calls them, for the message.

    Raises:
        ValueError: if the shapes differ, are not two-dimensional, or hold no row, or a type is not floating point.

    """
    if first.ndim != 2 or first.shape != second.shape:
        raise ValueError(
            f"{names[0]} and {names[1]} must have one shape (n, d), got {tuple(first.shape)} and "
            f"{tuple(second.shape)}; flatten maps with .flatten(1) and pair row i with row i"
        )
    if first.numel() == 0:
        raise ValueError(f"{names[0]} and {names[1]} are empty, shape {tuple(first.shape)}; give at least one pair")
    if not (first.is_floating_point() and second.is_floating_point()):
        raise ValueError(f"{names[0]} and {names[1]} must be floating point, got {first.dtype} and {second.dtype}")
