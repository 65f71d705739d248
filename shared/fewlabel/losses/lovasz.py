"""Lovász-softmax: a convex surrogate of one minus the mean intersection over union."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fewlabel.conventions.labels import IGNORED
from fewlabel.conventions.precision import in_float32
from fewlabel.losses.label_map import label_map


def lovasz_weights(foreground: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    r"""Growth of the Jaccard loss as voxels become wrong one after the other, in the given order.

    With I the foreground voxels still right and U the union after voxel i has become wrong, the growth is 1/U for a
    foreground voxel and :math:`I / (U (U - 1))` for a background voxel. The difference of two neighboring Jaccard
    losses says the same, but cancels in float32 when there are millions of voxels.

    Args:
        foreground: ``(..., P)`` bool, sorted by falling error along the last axis.
        dtype: type of the weights.

    Returns:
        ``(..., P)`` weights, at least 0, that sum to 1.

    """
    wrong = foreground.cumsum(-1)
    right = wrong[..., -1:] - wrong
    union = torch.arange(1, foreground.shape[-1] + 1, device=foreground.device) + right
    # Whole numbers until here, so that each weight is off by a rounding only, however many voxels there are.
    background = right.to(dtype) / (union * (union - 1)).clamp_min(1)
    # U = 1 is the first voxel of a class that is absent or one voxel large: the loss jumps from 0 to 1.
    return torch.where(foreground | (union == 1), union.to(dtype).reciprocal(), background)


@in_float32
def lovasz_softmax(
    probabilities: Tensor,
    target: Tensor,
    classes: str = "present",
    per_image: bool = False,
    ignore_index: int = IGNORED,
) -> Tensor:
    r"""Lovász extension of the Jaccard loss, averaged over classes.

    .. math::
        L = \frac{1}{|C|} \sum_{c \in C} \overline{\Delta_{J_c}}(m(c)), \qquad
        m_i(c) = \begin{cases} 1 - p_i(c) & y_i = c \\ p_i(c) & \text{else} \end{cases}

    On one-hot predictions it equals one minus the mean intersection over union.

    Berman, Triki, Blaschko, "The Lovász-softmax loss", CVPR 2018, definition 2 applied to the softmax.

    Args:
        probabilities: ``(B, K, *spatial)`` after the softmax.
        target: ``(B, *spatial)`` or ``(B, 1, *spatial)`` class indices.
        classes: ``"present"`` averages over the classes that occur in the target, ``"all"`` over all K (an absent
            class costs its highest probability).
        per_image: take the loss of each image and average; else the batch counts as one image.
        ignore_index: the target value of voxels that do not count.

    Returns:
        A scalar, float32 or wider; 0 with a graph when no voxel counts.

    Raises:
        ValueError: if a shape, a target value or ``classes`` is wrong, or the probabilities leave [0, 1].

    Example:
        >>> probabilities = torch.tensor([[[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]])  # predicts 0, 0, 1
        >>> lovasz_softmax(probabilities, torch.tensor([[0, 1, 1]])).item()  # both classes have an IoU of 1/2
        0.5

    """
    if classes not in ("present", "all"):
        raise ValueError(f'classes must be "present" or "all", got {classes!r}')
    indices = label_map(target, probabilities, ignore_index)
    lowest, highest = probabilities.detach().aminmax()
    low = lowest.item()
    high = highest.item()
    # The slack is for averaged or half-precision probabilities; a NaN passes, for the trainer to report.
    if low < -1e-3 or high > 1 + 1e-3:
        raise ValueError(f"probabilities must be in [0, 1], got {low:.4g} .. {high:.4g}; apply softmax over axis 1")

    shares = probabilities.as_subclass(torch.Tensor).flatten(2)
    indices = indices.flatten(1)
    if not per_image:
        shares = shares.movedim(0, 1).flatten(1)[None]
        indices = indices.flatten()[None]
    counted = (indices != ignore_index)[:, None]
    foreground = (indices[:, None] == torch.arange(shares.shape[1], device=shares.device)[:, None]) & counted
    # An ignored voxel becomes a background voxel without error: sorted last, it adds exactly nothing.
    errors = torch.where(foreground, 1 - shares, shares) * counted
    errors, order = errors.sort(dim=-1, descending=True)
    weights = lovasz_weights(foreground.gather(-1, order), errors.dtype)
    extension = (errors * weights).sum(-1)  # (images, K)

    chosen = foreground.any(-1) if classes == "present" else counted.any(-1).expand_as(extension)
    chosen_per_image = chosen.sum(-1)
    losses = extension.where(chosen, 0.0).sum(-1) / chosen_per_image.clamp_min(1)
    return losses.sum() / (chosen_per_image > 0).sum().clamp_min(1)


class LovaszSoftmaxLoss(nn.Module):
    """:func:`lovasz_softmax` as a module.

    Args:
        classes: ``"present"`` or ``"all"``.
        per_image: take the loss of each image and average.
        ignore_index: the target value of voxels that do not count.

    """

    def __init__(self, classes: str = "present", per_image: bool = False, ignore_index: int = IGNORED) -> None:
        super().__init__()
        self.classes = classes
        self.per_image = per_image
        self.ignore_index = ignore_index

    def forward(self, probabilities: Tensor, target: Tensor) -> Tensor:
        """Return the loss of probabilities ``(B, K, *spatial)`` against class indices ``(B, *spatial)``."""
        return lovasz_softmax(probabilities, target, self.classes, self.per_image, self.ignore_index)
