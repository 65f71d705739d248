"""Mixtures of two batches of images: CutMix, copy-paste and mixup, for slices and volumes alike."""

from fewlabel.mixing.masks import area_boxes, side_boxes
from fewlabel.mixing.mixture import Mixture, copy_paste, cut_mix, mix_up

__all__ = ["Mixture", "area_boxes", "copy_paste", "cut_mix", "mix_up", "side_boxes"]
