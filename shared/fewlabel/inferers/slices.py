"""Run a 2D network over the slices of a volume, at the size that the network was trained at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from monai.inferers import Inferer


class ResizedSliceInferer(Inferer):
    """Resize each slice, segment it, and bring the logits back to the slice's own grid.

    The networks of the slice methods are trained on slices resized to one size, whatever the spacing, and are run
    the same way. Only one batch of slices is on the network's device at a time.

    Args:
        size: rows and columns that the network was trained at.
        slice_axis: spatial axis along which slices are cut (0, 1 or 2; negative counts from the end).
        batch_size: slices per forward pass.
        published: nearest-neighbor resizing of the image and of the result, as the released SSL4MIS and MCSC
            code does; linear otherwise, on the logits, which keeps contours smooth.
    """

    def __init__(
        self, size: Sequence[int], slice_axis: int = -1, batch_size: int = 8, published: bool = False
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        self.size = tuple(size)
        self.slice_axis = slice_axis
        self.batch_size = batch_size
        self.published = published

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Return the logits (B, K, H, W, D) of volumes (B, C, H, W, D), on the inputs' device.

        Args:
            inputs: volumes.
            network: maps slices (N, C, *size) to logits (N, K, *size).
            args: passed to the network.
            kwargs: passed to the network.

        Raises:
            ValueError: the inputs are not volumes.
        """
        if inputs.ndim != 5:
            raise ValueError(f"expected volumes (B, C, H, W, D), got a tensor of shape {tuple(inputs.shape)}")
        axis = self.slice_axis + 2 if self.slice_axis >= 0 else self.slice_axis
        # plain tensors inside: tracking the geometry of every slice would cost more than the network
        volumes = torch.movedim(torch.as_tensor(inputs).as_subclass(torch.Tensor), axis, 1)
        slices = volumes.flatten(0, 1)
        logits = torch.cat([self._segment(part, network, *args, **kwargs) for part in slices.split(self.batch_size)])
        return torch.movedim(logits.unflatten(0, volumes.shape[:2]), 1, axis)

    def _segment(
        self, slices: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        native = slices.shape[-2:]
        mode = {"mode": "nearest"} if self.published else {"mode": "bilinear", "align_corners": False}
        resized = F.interpolate(slices, self.size, **mode) if native != self.size else slices
        logits = network(resized, *args, **kwargs).float()
        return F.interpolate(logits, native, **mode) if native != self.size else logits
