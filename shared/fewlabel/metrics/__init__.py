"""Agreement of a segmentation with its reference, and of two segmentations with each other."""

from fewlabel.metrics.agreement import agreement, disagreement
from fewlabel.metrics.scores import PROTOCOLS, Protocol, case_scores, scores
from fewlabel.metrics.strict_dice import StrictDice
from fewlabel.metrics.surface import surface, surface_distances

__all__ = [
    "PROTOCOLS",
    "Protocol",
    "StrictDice",
    "agreement",
    "case_scores",
    "disagreement",
    "scores",
    "surface",
    "surface_distances",
]
