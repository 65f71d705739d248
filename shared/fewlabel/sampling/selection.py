"""The pixels that a class may take as anchors, and those that it may push away as negatives."""

from __future__ import annotations

import torch
from torch import Tensor


def class_ranks(probabilities: Tensor) -> Tensor:
    """The place of each class when a pixel's probabilities are sorted from high to low, 0 for the top one.

    The thesis writes argsort, which gives the order of the classes; the place of a class, which its text describes,
    is the inverse of that order.

    Args:
        probabilities: ``(n, K)``.

    Returns:
        ``(n, K)`` int64, each row a permutation of 0 .. K-1; of two equal classes the lower index comes first.

    Example:
        >>> class_ranks(torch.tensor([[0.2, 0.5, 0.3]])).tolist()
        [[2, 0, 1]]

    """
    return probabilities.argsort(dim=1, descending=True, stable=True).argsort(dim=1)


def anchors(
    probabilities: Tensor,
    labels: Tensor,
    *,
    labeled: Tensor | None = None,
    certain: Tensor | None = None,
    threshold: float = 0.9,
) -> Tensor:
    r"""The anchor sets of all classes: confident pixels of the class, and certain ones where the label is a guess.

    .. math::
        A_c = \{i : y_i = c,\ \max_k p_i(k) > h,\ i \text{ labeled or certain}\}

    Thesis ch. 5, eq. 5.2-5.3; ch. 6, eq. 6.3, which has no test of certainty and a threshold of 0.5.

    Args:
        probabilities: ``(n, K)`` after the softmax, of the other network when the networks teach each other; bring a
            map ``(B, K, *spatial)`` to this form with ``.movedim(1, -1).flatten(0, -2)``.
        labels: ``(n,)`` class indices, ground truth where labeled and pseudo-labels elsewhere.
        labeled: ``(n,)`` bool, the pixels with ground truth, which need not be certain; none if not given.
        certain: ``(n,)`` bool from :func:`~fewlabel.sampling.certain_mask`; no test if not given.
        threshold: h, which the highest probability must exceed.

    Returns:
        ``(n, K)`` bool; column c is :math:`A_c`.

    Raises:
        ValueError: if a shape or type does not fit, or a label is no class index.

    Example:
        >>> anchors(torch.tensor([[0.95, 0.05], [0.40, 0.60]]), labels=torch.tensor([0, 1])).tolist()
        [[True, False], [False, False]]

    """
    _check(probabilities, labels, {"labeled": labeled, "certain": certain})
    kept = probabilities.amax(dim=1) > threshold
    if certain is not None:
        kept = kept & (certain if labeled is None else certain | labeled)
    return kept[:, None] & _one_hot(labels, probabilities.shape[1])


def negatives(
    probabilities: Tensor,
    labels: Tensor,
    *,
    labeled: Tensor,
    certain: Tensor,
    certain_rank: int = 1,
    uncertain_rank: int = 2,
) -> Tensor:
    r"""The negative sets of all classes, drawn from what a prediction rules out even when it is unsure.

    .. math::
        N_c = \{i : y_i \ne c\} \cap \begin{cases}
            O_i(c) < r_l & \text{labeled: mistaken for c} \\
            O_i(c) \ge r_l & \text{unlabeled and certain: anything but c} \\
            O_i(c) \ge r_h & \text{unlabeled and uncertain: c is among the least likely}
        \end{cases}

    with :math:`O_i(c)` the :func:`class_ranks`. Thesis ch. 5, eq. 5.5-5.6. That an unlabeled pixel's own class
    is never c follows there from :math:`r_l \ge 1` when the label is the argmax, and holds here for any label.

    Args:
        probabilities: ``(n, K)`` after the softmax, as for :func:`anchors`.
        labels: ``(n,)`` class indices, ground truth where labeled and pseudo-labels elsewhere.
        labeled: ``(n,)`` bool, the pixels with ground truth.
        certain: ``(n,)`` bool, read where unlabeled.
        certain_rank: r_l, from which on a certain pixel rules a class out, and below which a labeled pixel is
            mistaken for it.
        uncertain_rank: r_h, from which on an uncertain pixel rules a class out; the thesis takes 2 for 4 classes
            and 7 for 9. K leaves uncertain pixels out.

    Returns:
        ``(n, K)`` bool; column c is :math:`N_c`.

    Raises:
        ValueError: if a shape or type does not fit, a label is no class index, or not 1 <= r_l <= r_h <= K.

    Example:
        >>> unsure = torch.tensor([[0.45, 0.40, 0.15]])  # class 0 or 1, but hardly 2
        >>> no = torch.tensor([False])
        >>> negatives(unsure, torch.tensor([0]), labeled=no, certain=no, uncertain_rank=2).tolist()
        [[False, False, True]]

    """
    _check(probabilities, labels, {"labeled": labeled, "certain": certain})
    classes = probabilities.shape[1]
    if not 1 <= certain_rank <= uncertain_rank <= classes:
        raise ValueError(
            f"expected 1 <= certain_rank <= uncertain_rank <= {classes} (the number of classes), got "
            f"certain_rank={certain_rank}, uncertain_rank={uncertain_rank}"
        )
    ranks = class_ranks(probabilities)
    # A pixel is ruled out for c from this rank on; 1 x n instead of three n x K masks.
    first = torch.where(certain, certain_rank, uncertain_rank)[:, None]
    chosen = torch.where(labeled[:, None], ranks < certain_rank, ranks >= first)
    return chosen & ~_one_hot(labels, classes)


def _one_hot(labels: Tensor, classes: int) -> Tensor:
    return labels[:, None] == torch.arange(classes, device=labels.device)


def _check(probabilities: Tensor, labels: Tensor, masks: dict[str, Tensor | None]) -> None:
    if probabilities.ndim != 2 or not probabilities.is_floating_point():
        raise ValueError(
            f"probabilities must be floating point of shape (n, K), got {probabilities.dtype} "
            f"{tuple(probabilities.shape)}; flatten maps with .movedim(1, -1).flatten(0, -2)"
        )
    n, classes = probabilities.shape
    if tuple(labels.shape) != (n,) or labels.is_floating_point() or labels.dtype == torch.bool:
        raise ValueError(f"labels must be {n} integers of shape ({n},), got {labels.dtype} {tuple(labels.shape)}")
    outside = (labels < 0) | (labels >= classes)
    if bool(outside.any()):
        raise ValueError(
            f"labels hold {labels[outside][0].item()}, expected 0 .. {classes - 1}; leave out pixels without a label"
        )
    for name, mask in masks.items():
        if mask is not None and (tuple(mask.shape) != (n,) or mask.dtype != torch.bool):
            raise ValueError(f"{name} must be bool of shape ({n},), got {mask.dtype} {tuple(mask.shape)}")
