"""Losses: pure functions of tensors, each with a thin module."""

from fewlabel.losses.anatomy import anatomy_loss
from fewlabel.losses.anchored import AnchoredContrastiveLoss, anchored_contrastive
from fewlabel.losses.bending import bending_energy
from fewlabel.losses.consistency import consistency_distance
from fewlabel.losses.contrastive import BalancedContrastiveLoss, balanced_contrastive
from fewlabel.losses.cross_teaching import CrossTeachingLoss
from fewlabel.losses.ignored import CountedLoss, without_ignored
from fewlabel.losses.local import LocalContrastiveLoss, local_contrastive
from fewlabel.losses.lovasz import LovaszSoftmaxLoss, lovasz_softmax
from fewlabel.losses.mutual import mutual_consistency, sharpen
from fewlabel.losses.nt_xent import NTXentLoss, nt_xent
from fewlabel.losses.ohem import OhemCrossEntropyLoss, ohem_cross_entropy
from fewlabel.losses.region import RegionContrastLoss, region_contrast
from fewlabel.losses.segmentation import (
    foreground_dice_loss,
    hard_labels,
    plain_dice_loss,
    pseudo_label_loss,
    squared_dice_loss,
    supervised_loss,
)
from fewlabel.losses.vision_text import (
    VisionTextConsistencyLoss,
    vision_text_consistency,
    weighted_vision_text_consistency,
)
from fewlabel.losses.weighted import region_loss, weighted_cross_entropy, weighted_dice

__all__ = [
    "AnchoredContrastiveLoss",
    "BalancedContrastiveLoss",
    "CountedLoss",
    "CrossTeachingLoss",
    "LocalContrastiveLoss",
    "LovaszSoftmaxLoss",
    "NTXentLoss",
    "OhemCrossEntropyLoss",
    "RegionContrastLoss",
    "VisionTextConsistencyLoss",
    "anatomy_loss",
    "anchored_contrastive",
    "balanced_contrastive",
    "bending_energy",
    "consistency_distance",
    "foreground_dice_loss",
    "hard_labels",
    "local_contrastive",
    "lovasz_softmax",
    "mutual_consistency",
    "nt_xent",
    "ohem_cross_entropy",
    "plain_dice_loss",
    "pseudo_label_loss",
    "region_contrast",
    "region_loss",
    "sharpen",
    "squared_dice_loss",
    "supervised_loss",
    "vision_text_consistency",
    "weighted_cross_entropy",
    "weighted_dice",
    "weighted_vision_text_consistency",
    "without_ignored",
]
