"""Run a 3D network over a volume, window by window, at the spacing that the network was trained at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from monai.data import MetaTensor
from monai.inferers import Inferer, sliding_window_inference

from fewlabel.conventions.orientation import Reorientation, find_reorientation
from fewlabel.inferers.single_volumes import single_volumes
from fewlabel.transforms.resampling import check_spacing, resampled_shape

_SMALLEST = 1e-12  # probabilities below count as this one


class WindowInferer(Inferer):
    """Slide a window over each volume, average the windows' probabilities, and return their logarithm.

    The network sees volumes in the closest canonical orientation, RAS, however they are stored; the result is on the
    volume's own grid.

    The published evaluation of the left-atrium studies averages probabilities, not logits, with equal weights; the
    logarithm is the logits that have these probabilities. A volume smaller than the window is padded with zeros, the
    mean of a standardized volume.

    Args:
        roi_size: voxels of the window along each axis.
        stride: voxels from one window to the next along each axis; half a window by default.
        spacing: millimeters between voxels, along the axes of RAS, that the network was trained at: volumes are
            resampled to it and the probabilities back to the volume's own grid; None takes volumes as they are.
        mode: "constant" weights of a window's voxels as published, or "gaussian", less at its border.
        batch_size: windows per forward pass.

    Raises:
        ValueError: sizes that are not three positive numbers, a stride that skips voxels, or another argument that is
            unknown or out of range; when called, inputs that are no volumes.

    >>> inferer = WindowInferer(roi_size=(8, 8, 8))
    >>> inferer(torch.rand(1, 1, 10, 12, 5), torch.nn.Conv3d(1, 2, kernel_size=1)).shape
    torch.Size([1, 2, 10, 12, 5])
    """

    def __init__(
        self,
        roi_size: Sequence[int],
        stride: Sequence[int] | None = None,
        spacing: Sequence[float] | None = None,
        mode: str = "constant",
        batch_size: int = 1,
    ) -> None:
        super().__init__()
        self.roi_size = tuple(int(n) for n in roi_size)
        if len(self.roi_size) != 3 or min(self.roi_size) < 1:
            raise ValueError(f"roi_size must be three numbers of voxels, got {roi_size!r}")
        self.stride = tuple(max(1, n // 2) for n in self.roi_size) if stride is None else tuple(int(n) for n in stride)
        reachable = [0 < step <= n for step, n in zip(self.stride, self.roi_size, strict=False)]
        if len(self.stride) != 3 or not all(reachable):
            raise ValueError(
                f"stride must be three numbers of voxels, from 1 to the window's {self.roi_size}, got {stride!r}"
            )
        if mode not in ("constant", "gaussian"):
            raise ValueError(f'mode must be "constant" or "gaussian", got {mode!r}')
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        self.spacing = check_spacing(spacing)
        self.mode = mode
        self.batch_size = batch_size

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Return log-probabilities (B, K, X, Y, Z) of volumes (B, C, X, Y, Z) on their own grid, with their geometry.

        Args:
            inputs: volumes; with ``spacing``, MONAI's tensors that know their affine.
            network: maps windows (N, C, *size) to logits (N, K, *size).
            args: passed to the network.
            kwargs: passed to the network.
        """
        if inputs.ndim != 5 or inputs.numel() == 0:
            raise ValueError(f"expected volumes (B, C, X, Y, Z), got a tensor of shape {tuple(inputs.shape)}")
        found = [self._volume(volume, network, *args, **kwargs) for volume in single_volumes(inputs)]
        result = found[0] if len(found) == 1 else torch.cat(found)
        # whoever saves the result needs the file's name and affine
        return MetaTensor(result).copy_meta_from(inputs) if isinstance(inputs, MetaTensor) else result

    def _volume(
        self, volume: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        order = Reorientation()
        affine = None
        if isinstance(volume, MetaTensor):
            own = volume.affine.numpy()
            order = find_reorientation(own, volume.shape[2:])
            affine = torch.from_numpy(order.affine(own, volume.shape[2:]))
        # plain tensors inside: tracking the geometry of every window would cost time and give nothing
        reoriented = order.apply(volume.as_subclass(torch.Tensor)).contiguous()
        shape = reoriented.shape[2:] if self.spacing is None else self._network_shape(reoriented[0], affine)
        # the stride of MONAI is the whole part of size * (1 - overlap): half a voxel keeps rounding errors away
        overlap = [max(0.0, 1 - (step + 0.5) / n) for step, n in zip(self.stride, self.roi_size, strict=True)]
        probabilities = sliding_window_inference(
            _resize(reoriented, shape),
            self.roi_size,
            self.batch_size,
            lambda windows: network(windows, *args, **kwargs).float().softmax(dim=1),
            overlap=overlap,
            mode=self.mode,
        )
        return order.undo(_resize(probabilities, reoriented.shape[2:])).clamp(min=_SMALLEST).log()

    def _network_shape(self, volume: torch.Tensor, affine: torch.Tensor | None) -> Sequence[int]:
        if affine is None:
            raise ValueError(
                "the volume has no affine, so its spacing is unknown; load it with MONAI, or leave spacing out"
            )
        return resampled_shape(MetaTensor(volume, affine=affine), self.spacing or ())


def _resize(volume: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    if tuple(volume.shape[2:]) == tuple(shape):
        return volume
    return F.interpolate(volume.float(), tuple(shape), mode="trilinear", align_corners=False)
