"""Networks: each maps an image to logits, and shows its decoder maps by stride for losses on features."""

from __future__ import annotations

from fewlabel.networks.cs_unet import CSUNet
from fewlabel.networks.dk_uxnet import DKUXNet
from fewlabel.networks.mc_net import MCNet
from fewlabel.networks.pretrained import PretrainedReport, load_pretrained_swin
from fewlabel.networks.projector import ContrastProjector
from fewlabel.networks.swin_unet import SwinUnet
from fewlabel.networks.unet import UNet
from fewlabel.networks.vclipseg import VCLIPSeg
from fewlabel.networks.vnet import VNet, VNetDecoder, VNetEncoder

__all__ = [
    "CSUNet",
    "ContrastProjector",
    "DKUXNet",
    "MCNet",
    "PretrainedReport",
    "SwinUnet",
    "UNet",
    "VCLIPSeg",
    "VNet",
    "VNetDecoder",
    "VNetEncoder",
    "load_pretrained_swin",
]
