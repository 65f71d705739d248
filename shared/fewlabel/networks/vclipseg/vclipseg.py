"""VCLIPSeg: a V-Net with two decoders, whose coarsest map is prompted voxel by voxel with embeddings of text."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

import torch
from monai.networks.blocks import Convolution
from torch import Tensor, nn

from fewlabel.networks.vclipseg.fixed_vectors import CLIP_COSINE, CLIP_LENGTH, stand_in
from fewlabel.networks.vclipseg.text_embedding import text_embeddings
from fewlabel.networks.vnet import COARSE_NORMS, VNetDecoder, VNetEncoder
from fewlabel.parsing import parse_arguments


class TwinOutputs(NamedTuple):
    """The outputs of :meth:`VCLIPSeg.outputs`.

    Attributes:
        first: logits (B, K, *spatial) of the decoder with transposed convolutions, by default used for inference.
        second: logits (B, K, *spatial) of the decoder with trilinear upsampling.
        projections: features (B, d, *spatial / 16) of each decoder's head in the space of text; none without heads.

    """

    first: Tensor
    second: Tensor
    projections: list[Tensor]


class VoxelPrompts(nn.Module):
    r"""Voxel-Wise Prompts Module (VWPM).

    .. math::
        v = \mathrm{softmax}(controller(f)), \qquad prompt = \sum_c v_c\, (W t_c), \qquad
        f_p = conv([f, prompt])

    Li et al., "VCLIPSeg", MICCAI 2024, eq. 1-3. W brings text to the channels of the image.

    Args:
        channels: of the map.
        text_channels: d, of the embeddings.
        num_classes: K.
        norm: one of "batch", "instance", "group", "none".

    """

    def __init__(self, channels: int, text_channels: int, num_classes: int, norm: str) -> None:
        super().__init__()
        options = {"adn_ordering": "NA", "act": "leakyrelu", "norm": COARSE_NORMS[norm]}
        self.controller = nn.Sequential(
            Convolution(3, channels, channels // 4, **options),
            nn.Conv3d(channels // 4, channels // 16, 1),
            nn.GELU(),
            nn.Conv3d(channels // 16, num_classes, 1),
        )
        self.text = nn.Linear(text_channels, channels)
        self.merge = Convolution(3, 2 * channels, channels, **options)

    def forward(self, features: Tensor, text: Tensor) -> Tensor:
        """(B, C, *spatial) and (K, d) -> (B, C, *spatial)."""
        semantics = self.controller(features).softmax(dim=1)
        prompt = torch.einsum("bkxyz,kc->bcxyz", semantics, self.text(text).to(semantics.dtype))
        merged: Tensor = self.merge(torch.cat([features, prompt], dim=1))
        return merged


class VCLIPSeg(nn.Module):
    """V-Net encoder, voxel-wise prompts of text, and two decoders that differ in how they upsample.

    Li et al., "VCLIPSeg: voxel-wise CLIP-enhanced model for semi-supervised medical image segmentation", MICCAI 2024;
    16,857,142 parameters for two classes and CLIP's 512 channels. The text never changes: its embeddings are a buffer,
    which travels with the weights, so that inference needs neither CLIP nor a file.

    Args:
        in_channels: channels of the image.
        num_classes: K, background included.
        channels: channels of the finest level; they double with each of the four others.
        norm: "batch" as published, "instance" or "group".
        dropout: see :class:`fewlabel.networks.vnet.VNetEncoder`.
        coarse_norm: the norm of the coarsest map, see :class:`fewlabel.networks.vnet.VNetEncoder`, and of its prompts.
            The paper's batch norm keeps what distinguishes a patch from the others of its batch, by which a patch
            that is all background and one that is all atrium differ; text is compared with that map. None for ``norm``.
        text: where embeddings come from, see :func:`fewlabel.networks.vclipseg.text_embedding.text_embeddings`; None is
            for networks whose weights will be loaded and bring their own, until then stand-ins are there.
            Without prompts and projections nothing reads it, and there is no such buffer.
        class_names: of all K classes, for ``text`` that is a model.
        text_channels: d, of the embeddings.
        text_cosine: between stand-ins for text, see :func:`fewlabel.networks.vclipseg.fixed_vectors.stand_in`.
        text_length: of stand-ins for text.
        prompts: prompt the coarsest map; False is the ablation of table 3 without VWPM.
        projections: heads into the space of text, for the vision-text consistency; False is table 3 without VTCM.
        heads: how many; the released code has one for each decoder, eq. 4 one. All see the prompted map.
        inference_decoder: which decoder's logits ``forward`` returns, 0 or 1.

    Attributes:
        stride: 16, sides of an image must be multiples of it.

    Raises:
        ValueError: an argument is unknown or does not fit.

    Example:
        >>> network = VCLIPSeg(channels=4)
        >>> network(torch.zeros(1, 1, 32, 32, 16)).shape
        torch.Size([1, 2, 32, 32, 16])

    """

    @parse_arguments
    def __init__(
        self,
        in_channels: int = 1,
        num_classes: int = 2,
        channels: int = 16,
        norm: str = "batch",
        dropout: float = 0.5,
        coarse_norm: str | None = None,
        text: str | os.PathLike[str] | None = None,
        class_names: Sequence[str] | None = None,
        text_channels: int = 512,
        text_cosine: float = CLIP_COSINE,
        text_length: float = CLIP_LENGTH,
        prompts: bool = True,
        projections: bool = True,
        heads: int = 2,
        inference_decoder: int = 0,
    ) -> None:
        super().__init__()
        names = [f"class {number}" for number in range(num_classes)] if class_names is None else list(class_names)
        if inference_decoder not in (0, 1):
            raise ValueError(f"inference_decoder must be one of the decoders 0 and 1, got {inference_decoder}")
        if len(names) != num_classes:
            raise ValueError(f"class_names must name {num_classes} classes, background included, got {names}")
        if heads < 1:
            raise ValueError(f"heads must be 1 or more, got {heads}; projections=False leaves them out")
        self.encoder = VNetEncoder(in_channels, channels, norm, dropout, coarse_norm)
        self.first = VNetDecoder(num_classes, channels, norm, dropout, "transposed")
        self.second = VNetDecoder(num_classes, channels, norm, dropout, "trilinear")
        geometry = (text_channels, text_cosine, text_length)
        self.register_buffer("text", _embedded(text, names, *geometry) if prompts or projections else None)
        self.stride = self.encoder.stride
        self.inference_decoder = inference_decoder
        width = self.encoder.widths[-1]
        self.prompts = VoxelPrompts(width, text_channels, num_classes, coarse_norm or norm) if prompts else None
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Conv3d(width, width, 1), nn.ReLU(), nn.Conv3d(width, text_channels, 1))
            for _ in range(heads if projections else 0)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W, D) -> logits (B, num_classes, H, W, D) of ``inference_decoder``."""
        maps = self._encode(x)
        logits: Tensor = self.first(maps) if self.inference_decoder == 0 else self.second(maps)
        return logits

    def outputs(self, x: Tensor) -> TwinOutputs:
        """Return the logits of both decoders on images (B, in_channels, H, W, D), and features for the text."""
        maps = self._encode(x)
        return TwinOutputs(self.first(maps), self.second(maps), [head(maps[-1]) for head in self.heads])

    def _encode(self, x: Tensor) -> list[Tensor]:
        maps: list[Tensor] = self.encoder(x)
        if self.prompts is not None:
            maps[-1] = self.prompts(maps[-1], self.text)
        return maps


def _embedded(
    text: str | os.PathLike[str] | None, names: Sequence[str], channels: int, cosine: float, length: float
) -> Tensor:
    if text is None:
        return stand_in(len(names), channels, cosine, length)
    embedded = text_embeddings(text, names, channels, cosine, length)
    if embedded.shape[1] != channels:
        raise ValueError(f"text_channels is {channels}, but {text} has {embedded.shape[1]}: give that number")
    return embedded
