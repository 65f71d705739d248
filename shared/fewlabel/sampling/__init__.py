"""The choice of pixels that a contrastive loss compares: certainty, selection, and memories of features."""

from fewlabel.sampling.banks import find_banks
from fewlabel.sampling.certainty import certain_mask, entropy
from fewlabel.sampling.class_bank import ClassBank
from fewlabel.sampling.components import largest_components
from fewlabel.sampling.map_bank import MapBank
from fewlabel.sampling.nearest import nearest_pixels
from fewlabel.sampling.random_choice import sample_indices, sample_mask
from fewlabel.sampling.registered_positives import Correspondences, RegisteredPositives
from fewlabel.sampling.selection import anchors, class_ranks, negatives
from fewlabel.sampling.slice_geometry import SliceGeometry, map_to_slice

__all__ = [
    "ClassBank",
    "Correspondences",
    "MapBank",
    "RegisteredPositives",
    "SliceGeometry",
    "anchors",
    "certain_mask",
    "class_ranks",
    "entropy",
    "find_banks",
    "largest_components",
    "map_to_slice",
    "nearest_pixels",
    "negatives",
    "sample_indices",
    "sample_mask",
]
