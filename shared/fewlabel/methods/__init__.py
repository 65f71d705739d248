"""One file per method: its networks, and what a batch gives as named loss terms."""

from fewlabel.methods.certain_contrast import CertainContrast
from fewlabel.methods.cross_teaching import CrossTeaching
from fewlabel.methods.dynamic_labeling import DynamicLabeling
from fewlabel.methods.mcsc import MCSC
from fewlabel.methods.mcsc_v2 import MCSCv2
from fewlabel.methods.mutual_consistency import MutualConsistency
from fewlabel.methods.other_contrasts import GLCLContrast, ReCoContrast
from fewlabel.methods.query_consistency import QueryConsistency
from fewlabel.methods.supervised import Supervised

__all__ = [
    "MCSC",
    "CertainContrast",
    "CrossTeaching",
    "DynamicLabeling",
    "GLCLContrast",
    "MCSCv2",
    "MutualConsistency",
    "QueryConsistency",
    "ReCoContrast",
    "Supervised",
]
