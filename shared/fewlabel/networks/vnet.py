"""The V-Net that semi-supervised studies on the left atrium share, as an encoder and decoders to compose."""

from __future__ import annotations

import torch
from monai.networks.blocks import Convolution
from torch import Tensor, nn

from fewlabel.networks.unet import NORMS

DEPTHS = (1, 2, 3, 3, 3)  # convolutions per level, finest first; the decoder mirrors the first four
COARSE_NORMS = {**NORMS, "none": None}
UPSAMPLES_3D = ("transposed", "trilinear", "nearest")


class VNetEncoder(nn.Module):
    """The contracting half: five levels, each of 3x3x3 convolutions, halved by strided 2x2x2 convolutions.

    7,376,896 parameters with the defaults.

    Args:
        in_channels: channels of the image.
        channels: channels of the finest level; they double with each level.
        norm: one of "batch", "instance", "group".
        dropout: probability of zeroing a whole channel of the coarsest map.
        coarse_norm: the norm of the coarsest level, one of the above or "none"; None for ``norm``. Instance and group
            norm take a patch's level out of it: of a patch of 64 x 64 x 32 voxels that map has 32 of them.

    Attributes:
        widths: channels of the five maps, finest first.
        stride: 16, which the image's sides must be multiples of.

    """

    def __init__(
        self,
        in_channels: int = 1,
        channels: int = 16,
        norm: str = "batch",
        dropout: float = 0.5,
        coarse_norm: str | None = None,
    ) -> None:
        super().__init__()
        _check_arguments(channels, norm, dropout, "transposed")
        if coarse_norm is not None and coarse_norm not in COARSE_NORMS:
            raise ValueError(f"coarse_norm must be one of {sorted(COARSE_NORMS)}, got {coarse_norm!r}.")
        self.in_channels = in_channels
        self.widths = [channels * 2**level for level in range(len(DEPTHS))]
        self.stride = 2 ** (len(DEPTHS) - 1)
        finest, *coarser = self.widths
        self.levels = nn.ModuleList([_convolutions(in_channels, finest, DEPTHS[0], norm)])
        norms = [*[norm] * (len(coarser) - 1), norm if coarse_norm is None else coarse_norm]
        for width, depth, own in zip(coarser, DEPTHS[1:], norms, strict=True):
            down = _convolution(width // 2, width, own, kernel_size=2, strides=2, padding=0)
            self.levels.append(nn.Sequential(down, *_convolutions(width, width, depth, own)))
        self.dropout = nn.Dropout3d(dropout)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, in_channels, H, W, D) -> maps (B, widths[l], H / 2^l, W / 2^l, D / 2^l), finest first.

        Raises:
            ValueError: if the shape does not fit.

        """
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            self._check_input(x)
        maps: list[Tensor] = []
        for level in self.levels:
            x = level(x)
            maps.append(x)
        maps[-1] = self.dropout(maps[-1])
        return maps

    @torch.jit.unused
    def _check_input(self, x: Tensor) -> None:
        if x.ndim != 5 or x.shape[1] != self.in_channels:
            raise ValueError(f"V-Net expects volumes (B, {self.in_channels}, H, W, D), got {tuple(x.shape)}.")
        if any(side % self.stride for side in x.shape[2:]):
            raise ValueError(
                f"V-Net halves the volume four times, so its sides must be multiples of {self.stride}, "
                f"got {tuple(x.shape[2:])}; crop or pad the volume."
            )


class VNetDecoder(nn.Module):
    """The expanding half: doubles the resolution four times and adds the encoder's map of that level each time.

    2,071,970 parameters with the defaults, 2,898,850 with "trilinear" or "nearest".

    Args:
        num_classes: K, background included.
        channels: channels of the finest level, as the encoder's.
        norm: one of "batch", "instance", "group".
        dropout: probability of zeroing a whole channel of the full-resolution map, before the head.
        upsample: "transposed" (2x2x2 convolution), "trilinear" (corners aligned) or "nearest", the latter two
            followed by a 3x3x3 convolution.

    Attributes:
        feature_channels: channels of the decoder's maps by stride, {8: 128, 4: 64, 2: 32, 1: 16} by default.
        head: 1x1x1 convolution from the full-resolution map to the logits.

    """

    def __init__(
        self,
        num_classes: int = 2,
        channels: int = 16,
        norm: str = "batch",
        dropout: float = 0.5,
        upsample: str = "transposed",
    ) -> None:
        super().__init__()
        _check_arguments(channels, norm, dropout, upsample)
        levels = list(reversed(range(len(DEPTHS) - 1)))
        widths = [channels * 2**level for level in levels]
        self.ups = nn.ModuleList(_upsample(2 * width, width, norm, upsample) for width in widths)
        self.blocks = nn.ModuleList(
            _convolutions(width, width, DEPTHS[level], norm) for level, width in zip(levels, widths, strict=True)
        )
        self.dropout = nn.Dropout3d(dropout)
        self.head = nn.Conv3d(channels, num_classes, kernel_size=1)
        self.stride = 2 ** (len(DEPTHS) - 1)
        self.feature_channels: dict[int, int] = {2**level: width for level, width in zip(levels, widths, strict=True)}

    def features(self, maps: list[Tensor]) -> dict[int, Tensor]:
        """Return the decoder's maps by stride, coarsest first, from the encoder's, finest first.

        ``head(features(maps)[1])`` are the logits.
        """
        taps: dict[int, Tensor] = {}
        x = maps[-1]
        level = len(maps) - 1
        stride = self.stride
        for up, block in zip(self.ups, self.blocks):  # noqa: B905  TorchScript has no zip(strict=True)
            level = level - 1
            stride = stride // 2
            x = block(up(x) + maps[level])
            taps[stride] = x
        taps[1] = self.dropout(x)
        return taps

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Maps of :class:`VNetEncoder` -> logits (B, num_classes, H, W, D)."""
        logits: Tensor = self.head(self.features(maps)[1])
        return logits


class VNet(nn.Module):
    """V-Net without residual connections, with 16 to 256 channels: 9,448,866 parameters for one channel, two classes.

    Milletari et al., "V-Net", 3DV 2016, in the form that Yu et al., "Uncertainty-aware Self-ensembling Model",
    MICCAI 2019, and its successors on the left atrium use.

    Args:
        in_channels: channels of the image.
        num_classes: K, background included.
        channels: channels of the finest level; they double with each of the four others.
        norm: "batch" as published; "instance" and "group" (8 groups) behave alike in training and inference.
        dropout: probability of zeroing whole channels of the coarsest map and of the last one, in training.
        upsample: "transposed" as published, "trilinear" or "nearest", see :class:`VNetDecoder`.

    Attributes:
        feature_channels: channels of the decoder's maps by stride, {8: 128, 4: 64, 2: 32, 1: 16} by default.
        head: 1x1x1 convolution from the full-resolution map to the logits.

    Raises:
        ValueError: if an argument is unknown or out of range.

    Example:
        >>> import torch
        >>> network = VNet(channels=4)
        >>> network(torch.zeros(1, 1, 32, 32, 16)).shape
        torch.Size([1, 2, 32, 32, 16])

    """

    __jit_unused_properties__ = ("head",)  # TorchScript cannot return a module

    def __init__(
        self,
        in_channels: int = 1,
        num_classes: int = 2,
        channels: int = 16,
        norm: str = "batch",
        dropout: float = 0.5,
        upsample: str = "transposed",
    ) -> None:
        super().__init__()
        self.encoder = VNetEncoder(in_channels, channels, norm, dropout)
        self.decoder = VNetDecoder(num_classes, channels, norm, dropout, upsample)
        self.feature_channels = self.decoder.feature_channels

    @property
    def head(self) -> nn.Module:
        """The decoder's head."""
        return self.decoder.head

    def features(self, x: Tensor) -> dict[int, Tensor]:
        """Return the decoder's maps (B, feature_channels[stride], ...) by stride, coarsest first.

        Raises:
            ValueError: if the shape does not fit.

        """
        return self.decoder.features(self.encoder(x))

    def encode(self, x: Tensor) -> list[Tensor]:
        """Return the encoder's maps, see :class:`VNetEncoder`."""
        maps: list[Tensor] = self.encoder(x)
        return maps

    def decode(self, maps: list[Tensor]) -> Tensor:
        """Map the encoder's maps to logits (B, num_classes, H, W, D)."""
        logits: Tensor = self.decoder(maps)
        return logits

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W, D) -> logits (B, num_classes, H, W, D); sides must be multiples of 16."""
        logits: Tensor = self.decoder(self.encoder(x))
        return logits


def _convolution(before: int, after: int, norm: str, **options: object) -> Convolution:
    """A convolution, its norm and ReLU."""
    activation = ("relu", {"inplace": True})
    return Convolution(3, before, after, adn_ordering="NA", act=activation, norm=COARSE_NORMS[norm], **options)


def _convolutions(before: int, after: int, depth: int, norm: str) -> nn.Sequential:
    return nn.Sequential(*(_convolution(after if n else before, after, norm) for n in range(depth)))


def _upsample(before: int, after: int, norm: str, upsample: str) -> nn.Module:
    if upsample == "transposed":
        shape = {"kernel_size": 2, "strides": 2, "padding": 0, "output_padding": 0}
        convolution: nn.Module = _convolution(before, after, norm, is_transposed=True, **shape)
        return convolution
    aligned = True if upsample == "trilinear" else None
    resize = nn.Upsample(scale_factor=2, mode=upsample, align_corners=aligned)
    return nn.Sequential(resize, _convolution(before, after, norm))


def _check_arguments(channels: int, norm: str, dropout: float, upsample: str) -> None:
    if channels < 1:
        raise ValueError(f"channels must be at least 1, got {channels}.")
    if norm not in NORMS:
        raise ValueError(f"norm must be one of {sorted(NORMS)}, got {norm!r}.")
    if norm == "group" and channels % 8:
        raise ValueError(f'norm="group" makes 8 groups, so channels must be a multiple of 8, got {channels}.')
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout is a probability in [0, 1), got {dropout}.")
    if upsample not in UPSAMPLES_3D:
        raise ValueError(f"upsample must be one of {UPSAMPLES_3D}, got {upsample!r}.")
