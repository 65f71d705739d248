"""Segmentation losses of the methods: against labels, and against another network's pseudo-labels."""

from __future__ import annotations

from monai import losses
from monai.losses import DiceCELoss
from torch import Tensor, nn

from fewlabel.conventions.precision import in_float32
from fewlabel.losses.ignored import CountedLoss


class DiceLoss(losses.DiceLoss):
    """MONAI's Dice loss, in float32, under autocast too."""

    forward = in_float32(losses.DiceLoss.forward)


def supervised_loss() -> CountedLoss:
    """Return half cross-entropy, half Dice loss: the supervised loss of all SSL4MIS-based methods.

    Dice is taken per class over the whole batch with squared denominators and averaged over all classes,
    the background included; logits (B, K, *spatial) against labels (B, 1, *spatial). Voxels that nobody annotated,
    :data:`fewlabel.conventions.labels.IGNORED`, do not count.
    """
    return CountedLoss(
        DiceCELoss(
            to_onehot_y=True,
            softmax=True,
            squared_pred=True,
            batch=True,
            smooth_nr=1e-5,
            smooth_dr=1e-5,
            lambda_dice=0.5,
            lambda_ce=0.5,
        )
    )


def pseudo_label_loss() -> DiceLoss:
    """Return the Dice loss of logits against another network's hard labels (thesis eq. 4.1)."""
    return DiceLoss(to_onehot_y=True, softmax=True, squared_pred=True, batch=True, smooth_nr=1e-5, smooth_dr=1e-5)


def squared_dice_loss() -> CountedLoss:
    """Return the Dice half of :func:`supervised_loss`: all classes, squared denominators, over the whole batch."""
    return CountedLoss(pseudo_label_loss())


def foreground_dice_loss(one_hot_labels: bool = False) -> nn.Module:
    """Return the Dice loss of the foreground with plain denominators, as the V-Net studies of left atria have it.

    Of class indices, voxels that nobody annotated, :data:`fewlabel.conventions.labels.IGNORED`, do not count.

    Args:
        one_hot_labels: whether the labels are probabilities (B, K, *spatial) already, not class indices.
    """
    return plain_dice_loss(one_hot_labels, include_background=False)


def plain_dice_loss(one_hot_labels: bool = False, include_background: bool = True) -> nn.Module:
    """Return the Dice loss with plain denominators, over the whole batch, averaged over classes.

    Args:
        one_hot_labels: see :func:`foreground_dice_loss`.
        include_background: whether class 0 counts.
    """
    loss = DiceLoss(
        include_background=include_background,
        to_onehot_y=not one_hot_labels,
        softmax=True,
        batch=True,
        smooth_nr=1e-8,
        smooth_dr=1e-8,
    )
    return loss if one_hot_labels else CountedLoss(loss)


def hard_labels(logits: Tensor) -> Tensor:
    """Return the most probable class (B, 1, *spatial) of logits (B, K, *spatial), without a gradient."""
    return logits.detach().argmax(dim=1, keepdim=True)
