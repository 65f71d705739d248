"""Building blocks of networks."""

from fewlabel.layers.kmax import kmax_attention
from fewlabel.layers.perturbations import drop_attended, feature_dropout, feature_noise
from fewlabel.layers.warping import warp

__all__ = ["drop_attended", "feature_dropout", "feature_noise", "kmax_attention", "warp"]
