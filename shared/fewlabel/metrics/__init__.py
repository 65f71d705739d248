"""Agreement of a segmentation with its reference."""

from fewlabel.metrics.scores import PROTOCOLS, Protocol, case_scores, scores
from fewlabel.metrics.surface import surface, surface_distances

__all__ = ["PROTOCOLS", "Protocol", "case_scores", "scores", "surface", "surface_distances"]
