"""Which pixels a contrastive loss compares: certainty, selection, and memories of features."""

from fewlabel.sampling.banks import find_banks
from fewlabel.sampling.certainty import certain_mask, entropy
from fewlabel.sampling.class_bank import ClassBank
from fewlabel.sampling.draw import choose, draw
from fewlabel.sampling.map_bank import MapBank
from fewlabel.sampling.selection import anchors, class_ranks, negatives

__all__ = [
    "ClassBank",
    "MapBank",
    "anchors",
    "certain_mask",
    "choose",
    "class_ranks",
    "draw",
    "entropy",
    "find_banks",
    "negatives",
]
