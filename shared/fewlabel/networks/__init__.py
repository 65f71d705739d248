"""Networks: each maps an image to logits, and shows its decoder maps by stride for losses on features."""

from __future__ import annotations

from fewlabel.networks.averaged import Averaged, begin_averaged, update_averaged
from fewlabel.networks.cs_unet.cs_unet import CSUNet
from fewlabel.networks.dk_uxnet.dk_uxnet import DKUXNet
from fewlabel.networks.feature_network import (
    EncoderDecoder,
    FeatureNetwork,
    NetworkOutput,
    Passes,
    check_passes,
    drop_channels,
    forward_features,
    forward_logits,
)
from fewlabel.networks.mc_net import MCNet
from fewlabel.networks.mean_of_two import MeanOfTwo
from fewlabel.networks.mixed_pass import MixedPass, forward_mixed
from fewlabel.networks.projectors import ContrastProjector, build_projectors
from fewlabel.networks.registration import RegistrationUNet
from fewlabel.networks.swin.pretrained import PretrainedReport, load_pretrained_swin
from fewlabel.networks.swin.swin_unet import SwinUnet
from fewlabel.networks.unet import UNet
from fewlabel.networks.unet_decoders import DecodersUNet
from fewlabel.networks.vclipseg.vclipseg import VCLIPSeg
from fewlabel.networks.vnet import VNet, VNetDecoder, VNetEncoder

__all__ = [
    "Averaged",
    "CSUNet",
    "ContrastProjector",
    "DKUXNet",
    "DecodersUNet",
    "EncoderDecoder",
    "FeatureNetwork",
    "MCNet",
    "MeanOfTwo",
    "MixedPass",
    "NetworkOutput",
    "Passes",
    "PretrainedReport",
    "RegistrationUNet",
    "SwinUnet",
    "UNet",
    "VCLIPSeg",
    "VNet",
    "VNetDecoder",
    "VNetEncoder",
    "begin_averaged",
    "build_projectors",
    "check_passes",
    "drop_channels",
    "forward_features",
    "forward_logits",
    "forward_mixed",
    "load_pretrained_swin",
    "update_averaged",
]
