"""The 2D U-Net that semi-supervised studies on ACDC and Synapse share."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from monai.networks.blocks import Convolution, UpSample
from torch import Tensor, nn

from fewlabel.parsing import parse_arguments

NORMS: dict[str, str | tuple[str, dict[str, object]]] = {
    "batch": "batch",
    "instance": ("instance", {"affine": True}),
    "group": ("group", {"num_groups": 8, "affine": True}),
}
UPSAMPLES: dict[str, dict[str, object]] = {
    "bilinear": {"mode": "nontrainable", "pre_conv": "default", "interp_mode": "bilinear", "align_corners": True},
    "transposed": {"mode": "deconv"},
}


class ConvBlock(nn.Sequential):
    """Two 3x3 convolutions, each with norm and LeakyReLU(0.01); dropout stands between them.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        dropout: probability of zeroing an element after the first convolution; 0 leaves the layer out.
        norm: one of "batch", "instance", "group".

    """

    def __init__(self, in_channels: int, out_channels: int, dropout: float, norm: str) -> None:
        def unit(channels: int, probability: float | None) -> Convolution:
            return Convolution(
                spatial_dims=2,
                in_channels=channels,
                out_channels=out_channels,
                adn_ordering="NAD",
                act=("leakyrelu", {"negative_slope": 0.01, "inplace": True}),
                norm=NORMS[norm],
                dropout=probability,
            )

        super().__init__(unit(in_channels, dropout or None), unit(out_channels, None))


class UpBlock(nn.Module):
    """Doubles the resolution, then merges the encoder's map: skip first, then up.

    Args:
        in_channels: channels of the coarse input.
        out_channels: channels of the skip connection and of the output.
        norm: as in :class:`ConvBlock`.
        upsample: "bilinear" (after a 1x1 convolution, corners aligned) or "transposed" (2x2 convolution).

    """

    def __init__(self, in_channels: int, out_channels: int, norm: str, upsample: str) -> None:
        super().__init__()
        self.up = UpSample(2, in_channels, out_channels, scale_factor=2, **UPSAMPLES[upsample])
        self.merge = ConvBlock(2 * out_channels, out_channels, 0.0, norm)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """(B, in, H, W) and (B, out, 2H, 2W) -> (B, out, 2H, 2W)."""
        merged: Tensor = self.merge(torch.cat([skip, self.up(x)], dim=1))
        return merged


class UNet(nn.Module):
    """U-Net with 16 to 256 channels and dropout that grows with depth.

    Ronneberger et al., "U-Net", MICCAI 2015, in the width that Luo et al., "Cross teaching between CNN and
    Transformer", MIDL 2022, and its successors use: 1,813,764 parameters for one input channel and four classes.

    Args:
        in_channels: channels of the image.
        num_classes: K, background included.
        channels: channels per level, finest first.
        dropout: dropout of the encoder's levels, finest first; the decoder has none.
        norm: "batch" as published: strongest with large batches, but labeled and unlabeled images share their
            statistics, and inference uses running averages. "instance" and "group" (8 groups), both affine, behave
            alike in training and inference and at any batch size, so they suit small batches and averaged teachers;
            "instance" also removes an image's contrast and needs a coarsest map of more than one pixel in training.
        upsample: "bilinear" as in the released code of these studies (1,813,764 parameters), or "transposed", the
            learned 2x2 upsampling that their texts and many re-implementations suggest (1,944,324).
        xavier_head: draw the head's weights from Xavier's normal distribution, as in the released MCSC code, instead
            of PyTorch's default.

    Attributes:
        feature_channels: channels of the decoder's maps by stride, {8: 128, 4: 64, 2: 32, 1: 16} by default.
        head: 3x3 convolution from the full-resolution map to the logits.

    Raises:
        ValueError: if ``dropout`` and ``channels`` differ in length, or another argument is unknown or does not fit.

    Example:
        >>> import torch
        >>> network = UNet(num_classes=3)
        >>> network(torch.zeros(2, 1, 32, 48)).shape
        torch.Size([2, 3, 32, 48])
        >>> {stride: tuple(tap.shape) for stride, tap in network.features(torch.zeros(2, 1, 32, 32)).items()}
        {8: (2, 128, 4, 4), 4: (2, 64, 8, 8), 2: (2, 32, 16, 16), 1: (2, 16, 32, 32)}

    """

    @parse_arguments
    def __init__(
        self,
        in_channels: int = 1,
        num_classes: int = 4,
        channels: Sequence[int] = (16, 32, 64, 128, 256),
        dropout: Sequence[float] = (0.05, 0.1, 0.2, 0.3, 0.5),
        norm: str = "batch",
        upsample: str = "bilinear",
        xavier_head: bool = False,
    ) -> None:
        super().__init__()
        check_arguments(channels, dropout, norm, upsample)
        widths = [in_channels, *channels]
        self.in_channels = in_channels
        self.encoder = nn.ModuleList(
            ConvBlock(before, after, p, norm) for before, after, p in zip(widths, channels, dropout, strict=False)
        )
        self.pool = nn.MaxPool2d(2)
        coarse_to_fine = list(reversed(channels))
        self.decoder = nn.ModuleList(UpBlock(coarse, fine, norm, upsample) for coarse, fine in pairwise(coarse_to_fine))
        self.head = nn.Conv2d(channels[0], num_classes, kernel_size=3, padding=1)
        if xavier_head:
            nn.init.xavier_normal_(self.head.weight)
        self.stride = 2 ** (len(channels) - 1)
        self.feature_channels = {2**level: channels[level] for level in reversed(range(len(channels) - 1))}

    def features(self, x: Tensor) -> dict[int, Tensor]:
        """The decoder's maps keyed by stride, coarsest first.

        Args:
            x: (B, in_channels, H, W), sides multiples of 2 ** (levels - 1), 16 by default.

        Returns:
            {stride: (B, feature_channels[stride], H / stride, W / stride)}; differentiable.

        Raises:
            ValueError: if the shape does not fit.

        """
        return self._decoded(self.encode(x))

    def encode(self, x: Tensor) -> list[Tensor]:
        """Return the encoder's maps (B, channels[l], H / 2^l, W / 2^l), finest first, on images as for ``features``."""
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            self._check_input(x)
        maps: list[Tensor] = []
        for level, block in enumerate(self.encoder):
            x = block(x if level == 0 else self.pool(x))
            maps.append(x)
        return maps

    def decode(self, maps: list[Tensor]) -> Tensor:
        """Map the encoder's maps, finest first, to logits (B, num_classes, H, W)."""
        logits: Tensor = self.head(self._decoded(maps)[1])
        return logits

    def _decoded(self, maps: list[Tensor]) -> dict[int, Tensor]:
        taps: dict[int, Tensor] = {}
        x = maps[-1]
        level = len(maps) - 1
        stride = self.stride
        for up in self.decoder:
            level = level - 1
            x = up(x, maps[level])
            stride = stride // 2  # as TorchScript has it: no //=, no zip(strict=True)
            taps[stride] = x
        return taps

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> logits (B, num_classes, H, W)."""
        logits: Tensor = self.head(self.features(x)[1])
        return logits

    @torch.jit.unused
    def _check_input(self, x: Tensor) -> None:
        if x.ndim != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"UNet expects images (B, {self.in_channels}, H, W), got {tuple(x.shape)}.")
        if x.shape[2] % self.stride or x.shape[3] % self.stride:
            raise ValueError(
                f"UNet halves the image {len(self.encoder) - 1} times, so its sides must be multiples of "
                f"{self.stride}, got {tuple(x.shape[2:])}; resize or pad the image."
            )


def check_arguments(channels: Sequence[int], dropout: Sequence[float], norm: str, upsample: str) -> None:
    """Refuse what makes no U-Net.

    Raises:
        ValueError: see :class:`UNet`.
    """
    if len(channels) < 2 or len(channels) != len(dropout):
        raise ValueError(
            f"channels and dropout need one entry per level, at least two levels; got {len(channels)} channels "
            f"{tuple(channels)} and {len(dropout)} dropout rates {tuple(dropout)}."
        )
    if norm not in NORMS:
        raise ValueError(f"norm must be one of {sorted(NORMS)}, got {norm!r}.")
    if upsample not in UPSAMPLES:
        raise ValueError(f"upsample must be one of {sorted(UPSAMPLES)}, got {upsample!r}.")
    if norm == "group" and any(width % 8 for width in channels):
        raise ValueError(f'norm="group" makes 8 groups, so channels must be multiples of 8, got {tuple(channels)}.')
