"""Run a 2D network over the slices of a volume, at the size that the network was trained at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from monai.data import MetaTensor
from monai.inferers import Inferer

from fewlabel.parsing import parse_arguments


class ResizedSliceInferer(Inferer):
    """Resize each slice, segment it, and bring the logits back to the slice's own grid.

    The networks of the slice methods are trained on slices resized to one size, whatever the spacing, and are run
    the same way, a few slices at a time, so that memory does not grow with the network's size times the slices.

    Args:
        size: rows and columns that the network was trained at.
        slice_axis: spatial axis along which slices are cut (0, 1 or 2; negative counts from the end).
        batch_size: slices per forward pass; None takes 4 on a CPU, where more are slower, and 8 elsewhere.
        released_resize: nearest-neighbor resizing of the image and of the result, as the released SSL4MIS and MCSC
            code does; linear otherwise, on the logits, which keeps contours smooth.

    Raises:
        ValueError: a size or ``batch_size`` below 1, or an axis that volumes don't have.

    >>> inferer = ResizedSliceInferer(size=(8, 8))
    >>> inferer(torch.rand(1, 1, 10, 12, 3), torch.nn.Conv2d(1, 4, kernel_size=1)).shape
    torch.Size([1, 4, 10, 12, 3])
    """

    @parse_arguments
    def __init__(
        self, size: Sequence[int], slice_axis: int = -1, batch_size: int | None = None, released_resize: bool = False
    ) -> None:
        super().__init__()
        self.size = tuple(int(n) for n in size)
        if len(self.size) != 2 or min(self.size) < 1:
            raise ValueError(f"size must be two numbers of pixels, rows and columns, got {size!r}")
        if not -3 <= slice_axis <= 2:
            raise ValueError(f"slice_axis must be 0, 1 or 2, or negative to count from the end, got {slice_axis}")
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        self.slice_axis = slice_axis
        self.batch_size = batch_size
        self.released_resize = released_resize

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Return the logits (B, K, H, W, D) of volumes (B, C, H, W, D), on the inputs' device, with their geometry.

        Args:
            inputs: volumes.
            network: maps slices (N, C, *size) to logits (N, K, *size).
            args: passed to the network.
            kwargs: passed to the network.

        Raises:
            ValueError: the inputs are not volumes, or the network does not return logits of the slices' size.
        """
        parts = self.batches(inputs, network, *args, **kwargs)
        positions, logits = next(parts)
        result = logits.new_empty((inputs.shape[0] * inputs.shape[self.slice_axis % 3 + 2], *logits.shape[1:]))
        result[positions] = logits
        for positions, logits in parts:
            result[positions] = logits
        result = self.assemble(result, len(inputs))
        # whoever saves the result needs the file's name and affine
        return MetaTensor(result).copy_meta_from(inputs) if isinstance(inputs, MetaTensor) else result

    def batches(
        self,
        inputs: torch.Tensor,
        network: Callable[..., torch.Tensor],
        *args: Any,
        device: torch.device | str | None = None,
        **kwargs: Any,
    ) -> Iterator[tuple[slice, torch.Tensor]]:
        """Yield the logits a few slices at a time, so that nobody has to hold those of a whole volume.

        Args:
            inputs: volumes (B, C, H, W, D); their slices are counted volume after volume.
            network: maps slices (N, C, *size) to logits (N, K, *size).
            args: passed to the network.
            device: where each batch of slices is moved to; None leaves it.
            kwargs: passed to the network.

        Yields:
            The range of slices, and their logits (N, K, rows, columns) on the slices' own grid.

        Raises:
            ValueError: the inputs are not volumes, or the network does not return logits of the slices' size.
        """
        if inputs.ndim != 5 or inputs.numel() == 0:
            raise ValueError(f"expected volumes (B, C, H, W, D), got a tensor of shape {tuple(inputs.shape)}")
        # plain tensors inside: tracking the geometry of every slice would cost more than the network
        volumes = torch.movedim(inputs.as_subclass(torch.Tensor), self.slice_axis % 3 + 2, 1)
        per_volume = volumes.shape[1]
        on_cpu = torch.device(inputs.device if device is None else device).type == "cpu"
        batch_size = self.batch_size or (4 if on_cpu else 8)
        for start in range(0, len(volumes) * per_volume, batch_size):
            stop = min(start + batch_size, len(volumes) * per_volume)
            # only these slices are copied, never the volume
            part = torch.stack([volumes[k // per_volume, k % per_volume] for k in range(start, stop)])
            part = _channels_last(part) if on_cpu else part.to(device)
            yield slice(start, stop), self._segment(part, network, *args, **kwargs)

    def assemble(self, slices: torch.Tensor, number: int = 1) -> torch.Tensor:
        """Return slices (number * S, C, rows, columns), in the order of :meth:`batches`, as volumes (B, C, H, W, D)."""
        return torch.movedim(torch.unflatten(slices, 0, (number, -1)), 1, self.slice_axis % 3 + 2)

    def _segment(
        self, slices: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        logits = network(_resize(slices, self.size, self.released_resize), *args, **kwargs)
        if not isinstance(logits, torch.Tensor) or logits.ndim != 4 or logits.shape[2:] != self.size:
            found = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
            raise ValueError(
                f"expected the network to return logits (N, K, {self.size[0]}, {self.size[1]}), got {found}"
            )
        return _resize(logits.float(), slices.shape[-2:], self.released_resize)


def _channels_last(slices: torch.Tensor) -> torch.Tensor:
    """Lay pixels out with their channels side by side: convolutions on a CPU take two thirds of the time.

    ``Tensor.contiguous`` does nothing to slices of one channel, whose strides fit both layouts; those that it leaves
    would be read as channels first.
    """
    _, channels, rows, columns = slices.shape
    strides = (channels * rows * columns, 1, columns * channels, channels)
    return torch.empty_strided(slices.shape, strides, dtype=slices.dtype, device=slices.device).copy_(slices)


def _resize(maps: torch.Tensor, size: Sequence[int], nearest: bool) -> torch.Tensor:
    if maps.shape[2:] == tuple(size):
        return maps
    # exact: plain "nearest" shifts by half a pixel each way, and the contours with it
    how: dict[str, Any] = {"mode": "nearest-exact"} if nearest else {"mode": "bilinear", "align_corners": False}
    return F.interpolate(maps, tuple(size), **how)
