"""MCSCv2: cross teaching with a certainty-guided contrastive loss, and the losses it was compared with."""

from fewlabel.methods.mcsc_v2.certainty_contrast import CertaintyContrast
from fewlabel.methods.mcsc_v2.certainty_guided import CertaintyGuidedContrastiveLoss
from fewlabel.methods.mcsc_v2.compared_losses import GLCLLoss, ReCoLoss
from fewlabel.methods.mcsc_v2.mcsc_v2 import MCSCv2

__all__ = ["CertaintyContrast", "CertaintyGuidedContrastiveLoss", "GLCLLoss", "MCSCv2", "ReCoLoss"]
