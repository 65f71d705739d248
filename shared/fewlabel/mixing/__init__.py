"""Mixtures of two batches of images: CutMix, copy-paste and mixup, for slices and volumes alike."""

from fewlabel.mixing.halves import MIXINGS_AMONG_UNLABELED, MixedHalves, check_mixing, mix_among, mix_halves
from fewlabel.mixing.masks import area_boxes, side_boxes
from fewlabel.mixing.mixture import Mixture, copy_paste, cut_mix, mix_up

__all__ = [
    "MIXINGS_AMONG_UNLABELED",
    "MixedHalves",
    "Mixture",
    "area_boxes",
    "check_mixing",
    "copy_paste",
    "cut_mix",
    "mix_among",
    "mix_halves",
    "mix_up",
    "side_boxes",
]
