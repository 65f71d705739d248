"""Class-balanced contrastive loss between all the pixels of a group."""

from __future__ import annotations

from torch import Tensor, nn

from fewlabel.conventions.precision import in_float32
from fewlabel.losses.balanced_groups import group_losses
from fewlabel.losses.similarity import check_temperature

DIVISORS = ("anchors", "pixels")


@in_float32
def balanced_contrastive(
    features: Tensor,
    labels: Tensor,
    temperature: float = 0.1,
    reduction: str = "mean",
    ignore_index: int | None = None,
    divide_by: str = "anchors",
) -> Tensor:
    r"""Class-balanced supervised contrastive loss in which every class weighs the same, however many pixels it has.

    For an anchor :math:`i` of class :math:`y` with at least one other pixel of its class,

    .. math::
        \ell_i = -\frac{1}{|A_y|-1} \sum_{p \in A_y \setminus i} \frac{a_i \cdot a_p}{\tau}
        + \log \sum_j \frac{1}{|A_j \setminus i|} \sum_{k \in A_j \setminus i} \exp \frac{a_i \cdot a_k}{\tau}

    and the loss of a group is the mean over its anchors. "Multi-Scale Cross Supervised Contrastive Learning for
    Semi-Supervised Medical Image Segmentation", BMVC 2023; equation 4.2 of the first author's thesis. The printed
    equation leaves the anchor in its own denominator; here, as in the released code, it is in neither sum.

    The loss and its gradient are computed together, tile by tile, so memory grows with the features and not with the
    square of their number. The gradient exists once: differentiating it again is an error.

    Args:
        features: ``(n, d)``, or ``(g, n, d)`` for g independent groups; meant to have unit length. Half precisions
            are computed in float32, under autocast too.
        labels: integers of any value, ``(n,)`` or ``(g, n)``.
        temperature: :math:`\tau`; safe down to 1e-3 and below.
        reduction: ``"mean"`` over the groups that have an anchor, ``"sum"`` over groups, or ``"none"``: one value per
            group, ``(g,)`` or a scalar. A group without an anchor is worth 0; if there is no other, so is the loss,
            which keeps a graph.
        ignore_index: pixels of this label are no anchors and are in no sum.
        divide_by: what the sum over a group's anchors is divided by: their number, or "pixels" for the number of all
            its pixels but the ignored ones, as equation 4.2 has it. They differ where a class has a single pixel, which
            has no other to be drawn to: with "pixels" it counts as an anchor of loss 0.

    Returns:
        The loss in float32, or in float64 for float64 features.

    Raises:
        ValueError: for shapes, types, a temperature, a reduction or a divisor other than these.

    Example:
        >>> import torch
        >>> features = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
        >>> balanced_contrastive(features, torch.tensor([0, 0, 1, 1]), temperature=1.0)  # log(1 + exp(-1))
        tensor(0.3133)

    """
    _check(features, labels, temperature, reduction)
    if divide_by not in DIVISORS:
        raise ValueError(f"divide_by must be one of {DIVISORS}, got {divide_by!r}")
    # MONAI's MetaTensor slows every operation down, and its metadata say nothing about groups of pixels.
    features = features.as_subclass(Tensor)
    labels = labels.as_subclass(Tensor)
    if features.ndim == 2:
        losses, _ = group_losses(features[None], labels[None], temperature, ignore_index, divide_by)
        return losses[0]
    losses, anchors = group_losses(features, labels, temperature, ignore_index, divide_by)
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    groups_with_anchors = anchors.any(dim=1).sum()
    return losses.sum() / groups_with_anchors.clamp(min=1)


class BalancedContrastiveLoss(nn.Module):
    """Module form of :func:`balanced_contrastive`.

    Args:
        temperature: divides the similarities.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``, over groups.
        ignore_index: label of the pixels to leave out.
        divide_by: "anchors" or "pixels".

    """

    def __init__(
        self,
        temperature: float = 0.1,
        reduction: str = "mean",
        ignore_index: int | None = None,
        divide_by: str = "anchors",
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.reduction = reduction
        self.ignore_index = ignore_index
        self.divide_by = divide_by

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Loss of features ``(n, d)`` or ``(g, n, d)`` with labels ``(n,)`` or ``(g, n)``."""
        return balanced_contrastive(
            features, labels, self.temperature, self.reduction, self.ignore_index, self.divide_by
        )


def _check(features: Tensor, labels: Tensor, temperature: float, reduction: str) -> None:
    if features.ndim not in (2, 3):
        raise ValueError(f"features must be (n, d) or (g, n, d), got {tuple(features.shape)}")
    if labels.shape != features.shape[:-1]:
        raise ValueError(
            f"labels must be {tuple(features.shape[:-1])}, one per feature of {tuple(features.shape)}, "
            f"got {tuple(labels.shape)}"
        )
    if not features.is_floating_point():
        raise ValueError(f"features must be floating point, got {features.dtype}")
    if labels.is_floating_point() or labels.is_complex():
        raise ValueError(f"labels must be integers, got {labels.dtype}; use labels.long()")
    check_temperature(temperature)
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction must be 'mean', 'sum' or 'none', got {reduction!r}")
