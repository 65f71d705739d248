"""The 2D U-Net with several decoders on one encoder, for methods whose decoders are to agree."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from fewlabel.networks.unet import ConvBlock, UpBlock, check_arguments


class UNetDecoder(nn.Module):
    """The expanding half of :class:`fewlabel.networks.UNet`, with its head.

    Args:
        channels: of the levels, finest first.
        num_classes: K, background included.
        norm: "batch", "instance" or "group".
        upsample: "bilinear" or "transposed".
    """

    def __init__(self, channels: Sequence[int], num_classes: int, norm: str, upsample: str) -> None:
        super().__init__()
        self.ups = nn.ModuleList(UpBlock(coarse, fine, norm, upsample) for coarse, fine in pairwise(channels[::-1]))
        self.head = nn.Conv2d(channels[0], num_classes, kernel_size=3, padding=1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Encoder's maps, finest first -> logits (B, num_classes, H, W)."""
        x = maps[-1]
        level = len(maps) - 1
        for up in self.ups:
            level = level - 1  # as TorchScript has it
            x = up(x, maps[level])
        logits: Tensor = self.head(x)
        return logits


class DecodersUNet(nn.Module):
    """The U-Net of :class:`fewlabel.networks.UNet` with two or more decoders.

    With "bilinear" and "transposed" it is the released MC-Net for slices (Wu et al., "Semi-supervised left atrium
    segmentation with mutual consistency training", MICCAI 2021), whose encoder and first decoder are the U-Net; with
    four "bilinear" ones SSL4MIS's U-Net of cross-consistency training (Ouali et al., CVPR 2020), 3,713,664 parameters
    for four classes.

    Args:
        in_channels: channels of the image.
        num_classes: K, background included.
        channels: channels per level, finest first.
        dropout: dropout of the encoder's levels, finest first.
        norm: "batch" (as published), "instance" or "group", see :class:`fewlabel.networks.UNet`.
        upsamples: of each decoder, "bilinear" or "transposed".
        inference_decoder: which decoder's logits ``forward`` returns.

    Raises:
        ValueError: there are fewer than two decoders, or an argument is unknown or out of range.

    >>> import torch
    >>> [tuple(logits.shape) for logits in DecodersUNet(num_classes=3).outputs(torch.zeros(2, 1, 32, 32))]
    [(2, 3, 32, 32), (2, 3, 32, 32)]
    """

    def __init__(
        self,
        in_channels: int = 1,
        num_classes: int = 4,
        channels: Sequence[int] = (16, 32, 64, 128, 256),
        dropout: Sequence[float] = (0.05, 0.1, 0.2, 0.3, 0.5),
        norm: str = "batch",
        upsamples: Sequence[str] = ("bilinear", "transposed"),
        inference_decoder: int = 0,
    ) -> None:
        super().__init__()
        if isinstance(upsamples, str) or len(upsamples) < 2:
            raise ValueError(f"upsamples needs an entry for each of at least two decoders, got {upsamples!r}.")
        if not 0 <= inference_decoder < len(upsamples):
            raise ValueError(
                f"inference_decoder must be one of the decoders 0 .. {len(upsamples) - 1}, got {inference_decoder}."
            )
        for upsample in upsamples:
            check_arguments(channels, dropout, norm, upsample)
        widths = [in_channels, *channels]
        self.encoder = nn.ModuleList(
            ConvBlock(before, after, p, norm) for before, after, p in zip(widths, channels, dropout, strict=False)
        )
        self.pool = nn.MaxPool2d(2)
        self.stride = 2 ** (len(channels) - 1)
        self.decoders = nn.ModuleList(UNetDecoder(channels, num_classes, norm, upsample) for upsample in upsamples)
        self.inference_decoder = inference_decoder

    def encode(self, x: Tensor) -> list[Tensor]:
        """Return the encoder's maps (B, channels[l], H / 2^l, W / 2^l), finest first.

        Raises:
            ValueError: a side of the image is no multiple of the stride.
        """
        if x.shape[2] % self.stride or x.shape[3] % self.stride:
            raise ValueError(
                f"the sides of the image must be multiples of {self.stride}, got {x.shape[2]} x {x.shape[3]}"
            )
        maps: list[Tensor] = []
        for level, block in enumerate(self.encoder):
            x = block(x if level == 0 else self.pool(x))
            maps.append(x)
        return maps

    def outputs(self, x: Tensor) -> list[Tensor]:
        """Return every decoder's logits (B, num_classes, H, W) on images (B, in_channels, H, W)."""
        maps = self.encode(x)
        return [decoder(maps) for decoder in self.decoders]

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> logits (B, num_classes, H, W) of ``inference_decoder``."""
        maps: list[Tensor] = self.encode(x)
        logits = maps[0]
        for index, decoder in enumerate(self.decoders):  # TorchScript indexes modules by literals only
            if index == self.inference_decoder:
                logits = decoder(maps)
        return logits
