"""Run a 2D network over the slices of a volume, at the size that the network was trained at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from monai.data import MetaTensor
from monai.inferers import Inferer

from fewlabel.conventions.orientation import Reorientation, SliceAxis, check_slice_axis, find_reorientation
from fewlabel.inferers.single_volumes import single_volumes
from fewlabel.parsing import parse_arguments


class ResizedSliceInferer(Inferer):
    """Reorient a volume, resize each slice, segment it, and bring the logits back to the volume's own grid.

    The networks of the slice methods are trained on slices resized to one size, whatever the spacing, and are run
    the same way, a few slices at a time, so that memory does not grow with the network's size times the slices. They
    see slices in the orientation that :class:`fewlabel.transforms.Reorientd` gives in training, however the volume is
    stored.

    Args:
        size: rows and columns that the network was trained at.
        slice_axis: axis of RAS along which slices are cut, 0 for sagittal, 1 for coronal, 2 for axial slices; "auto"
            takes the coarsest spacing, see :func:`fewlabel.conventions.orientation.find_slice_axis`.
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
        self,
        size: Sequence[int],
        slice_axis: SliceAxis = "auto",
        batch_size: int | None = None,
        released_resize: bool = False,
    ) -> None:
        super().__init__()
        self.size = tuple(int(n) for n in size)
        if len(self.size) != 2 or min(self.size) < 1:
            raise ValueError(f"size must be two numbers of pixels, rows and columns, got {size!r}")
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        self.slice_axis = check_slice_axis(slice_axis)
        self.batch_size = batch_size
        self.released_resize = released_resize

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Return the logits (B, K, H, W, D) of volumes (B, C, H, W, D), on the inputs' device, with their geometry.

        Args:
            inputs: volumes; MONAI's tensors know their affine, others are taken for RAS with equal spacings.
            network: maps slices (N, C, *size) to logits (N, K, *size).
            args: passed to the network.
            kwargs: passed to the network.

        Raises:
            ValueError: the inputs are not volumes, or the network does not return logits of the slices' size.
        """
        _check_volumes(inputs)
        found = [self._volume(volume, network, *args, **kwargs) for volume in single_volumes(inputs)]
        result = found[0] if len(found) == 1 else torch.cat(found)
        # whoever saves the result needs the file's name and affine
        return MetaTensor(result).copy_meta_from(inputs) if isinstance(inputs, MetaTensor) else result

    def _volume(
        self, volume: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        parts = self.batches(volume, network, *args, **kwargs)
        positions, logits = next(parts)
        slices = logits.new_empty((volume.shape[2 + self._reorientation(volume).axes[2]], *logits.shape[1:]))
        slices[positions] = logits
        for positions, logits in parts:
            slices[positions] = logits
        return self.assemble(slices, volume)

    def batches(
        self,
        volume: torch.Tensor,
        network: Callable[..., torch.Tensor],
        *args: Any,
        device: torch.device | str | None = None,
        **kwargs: Any,
    ) -> Iterator[tuple[slice, torch.Tensor]]:
        """Yield the logits a few slices at a time, so that nobody has to hold those of a whole volume.

        Args:
            volume: (1, C, H, W, D).
            network: maps slices (N, C, *size) to logits (N, K, *size).
            args: passed to the network.
            device: where each batch of slices is moved to; None leaves it.
            kwargs: passed to the network.

        Yields:
            The range of slices, counted as stored, and their logits (N, K, rows, columns) on their own grid.

        Raises:
            ValueError: the input is no volume, or the network does not return logits of the slices' size.
        """
        _check_volumes(volume)
        order = self._reorientation(volume)
        # plain tensors inside: tracking the geometry of every slice would cost more than the network
        slices = torch.movedim(volume.as_subclass(torch.Tensor)[0], order.axes[2] + 1, 0)
        count = len(slices)
        on_cpu = torch.device(volume.device if device is None else device).type == "cpu"
        batch_size = self.batch_size or (4 if on_cpu else 8)
        for first in range(0, count, batch_size):
            stop = min(first + batch_size, count)
            # batches are those of the reoriented volume: a convolution's last digit may depend on its batch
            stored = slice(count - stop, count - first) if order.flips[2] else slice(first, stop)
            # only these slices are copied, never the volume
            part = _reoriented(slices[stored], order)
            part = _channels_last(part) if on_cpu else part.contiguous().to(device)
            yield stored, _stored(self._segment(part, network, *args, **kwargs), order)

    def assemble(self, slices: torch.Tensor, volume: torch.Tensor) -> torch.Tensor:
        """Return slices (S, C, rows, columns), as :meth:`batches` counts those of a volume, as (1, C, H, W, D)."""
        return torch.movedim(slices, 0, self._reorientation(volume).axes[2] + 1)[None]

    def _reorientation(self, volume: torch.Tensor) -> Reorientation:
        affine = volume.affine.reshape(-1, 4, 4)[0] if isinstance(volume, MetaTensor) else np.eye(4)
        return find_reorientation(affine, volume.shape[2:], self.slice_axis)

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


def _check_volumes(inputs: torch.Tensor) -> None:
    if inputs.ndim != 5 or inputs.numel() == 0:
        raise ValueError(f"expected volumes (B, C, H, W, D), got a tensor of shape {tuple(inputs.shape)}")


def _reoriented(slices: torch.Tensor, order: Reorientation) -> torch.Tensor:
    """Return stored slices (N, C, rows, columns), the last one first where the axis of slices is flipped."""
    turned = slices.transpose(2, 3) if order.axes[0] > order.axes[1] else slices
    return turned.flip(_flipped(order)) if any(order.flips) else turned


def _stored(slices: torch.Tensor, order: Reorientation) -> torch.Tensor:
    """Undo :func:`_reoriented`."""
    unflipped = slices.flip(_flipped(order)) if any(order.flips) else slices
    return unflipped.transpose(2, 3) if order.axes[0] > order.axes[1] else unflipped


def _flipped(order: Reorientation) -> list[int]:
    return [dim for dim, flipped in zip((2, 3, 0), order.flips, strict=True) if flipped]


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
