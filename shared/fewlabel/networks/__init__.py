"""Networks: each maps an image to logits, and shows its decoder maps by stride for losses on features."""

from __future__ import annotations

from fewlabel.networks.swin_unet import SwinUnet
from fewlabel.networks.unet import UNet

__all__ = ["SwinUnet", "UNet"]
