"""MC-Net: a V-Net with several decoders that differ in how they double the resolution."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from fewlabel.networks.vnet import VNetDecoder, VNetEncoder


class MCNet(nn.Module):
    """V-Net encoder and two or three decoders, which disagree where a scan is hard.

    Wu et al., "Semi-supervised left atrium segmentation with mutual consistency training", MICCAI 2021: 12,347,716
    parameters with two decoders. With "nearest" as a third it is that of Wu et al., Medical Image Analysis 2022:
    15,246,566.

    Args:
        in_channels: channels of the image.
        num_classes: K, background included.
        channels: channels of the finest level; they double with each of the four others.
        norm: one of "batch" (as published), "instance", "group".
        dropout: of the encoder's coarsest map and each decoder's last one, see :class:`fewlabel.networks.VNet`.
        upsamples: how each decoder doubles the resolution, see :class:`fewlabel.networks.VNetDecoder`.
        inference_decoder: which decoder's logits ``forward`` returns.

    Raises:
        ValueError: if there are fewer than two decoders, or an argument is unknown or out of range.

    Example:
        >>> import torch
        >>> network = MCNet(channels=2)
        >>> [tuple(logits.shape) for logits in network.outputs(torch.zeros(1, 1, 16, 16, 32))]
        [(1, 2, 16, 16, 32), (1, 2, 16, 16, 32)]

    """

    def __init__(
        self,
        in_channels: int = 1,
        num_classes: int = 2,
        channels: int = 16,
        norm: str = "batch",
        dropout: float = 0.5,
        upsamples: Sequence[str] = ("transposed", "trilinear"),
        inference_decoder: int = 0,
    ) -> None:
        super().__init__()
        if len(upsamples) < 2:
            raise ValueError(f"mutual consistency needs at least two decoders, got upsamples {tuple(upsamples)}.")
        if not 0 <= inference_decoder < len(upsamples):
            raise ValueError(
                f"inference_decoder must be one of the decoders 0 .. {len(upsamples) - 1}, got {inference_decoder}."
            )
        self.encoder = VNetEncoder(in_channels, channels, norm, dropout)
        self.decoders = nn.ModuleList(
            VNetDecoder(num_classes, channels, norm, dropout, upsample) for upsample in upsamples
        )
        self.stride = self.encoder.stride
        self.inference_decoder = inference_decoder

    def outputs(self, x: Tensor) -> list[Tensor]:
        """Return every decoder's logits (B, num_classes, H, W, D) on images (B, in_channels, H, W, D)."""
        maps = self.encoder(x)
        return [decoder(maps) for decoder in self.decoders]

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W, D) -> logits (B, num_classes, H, W, D) of ``inference_decoder``."""
        maps: list[Tensor] = self.encoder(x)
        logits = maps[0]
        for index, decoder in enumerate(self.decoders):  # TorchScript indexes modules by literals only
            if index == self.inference_decoder:
                logits = decoder(maps)
        return logits
