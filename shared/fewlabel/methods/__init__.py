"""One file per method: its networks, and what a batch gives as named loss terms."""

from fewlabel.methods.cross_teaching import CrossTeaching
from fewlabel.methods.mcsc import MCSC
from fewlabel.methods.supervised import Supervised

__all__ = ["MCSC", "CrossTeaching", "Supervised"]
