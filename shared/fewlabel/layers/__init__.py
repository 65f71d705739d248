"""Building blocks of networks."""

from fewlabel.layers.kmax import kmax_attention

__all__ = ["kmax_attention"]
