"""A memory of feature maps by volume and slice, to look up what another patient's network saw at a place."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MapBank(nn.Module):
    """The newest feature maps, at most ``capacity`` of them, each with the geometry it was computed under.

    A map pushed again for the same slice replaces the former one and becomes the newest; when the bank is full, the
    map pushed longest ago leaves. Thesis ch. 6, section 6.3.4, which takes a fifth of the training slices (262 of
    1312 for ACDC) and does not say whether an update renews the age: here it does, since what ages is the network
    that made the map.

    ``frame`` is a 3 x 3 matrix that takes ``(row, column, 1)`` of the slice as it is on disk to the row and column
    of the feature map, in pixels with integers at pixel centers; it is the product of resizing, augmentation and the
    network's stride. For a stride s alone it is ``[[1/s, 0, (1-s)/(2s)], [0, 1/s, (1-s)/(2s)], [0, 0, 1]]``.

    ``state_dict`` restores maps, frames and their order bit for bit. Maps stay on the device they were pushed from,
    or were loaded to, and look-ups answer on the device of the points.

    Args:
        capacity: how many maps are kept.
        dtype: how maps are stored; unit vectors keep three digits in half precision.

    Raises:
        ValueError: if the capacity is below 1.

    Example:
        >>> bank = MapBank(capacity=2)
        >>> bank.push("patient001_frame01", 4, torch.tensor([[[0.0, 1.0], [2.0, 3.0]]]), frame=torch.eye(3))
        >>> features, inside = bank.lookup("patient001_frame01", 4, torch.tensor([[0.5, 0.5], [9.0, 0.0]]))
        >>> features.tolist(), inside.tolist()
        ([[1.5], [0.0]], [True, False])

    """

    def __init__(self, capacity: int, dtype: torch.dtype = torch.float16) -> None:
        super().__init__()
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1 map, got {capacity}")
        self.capacity = capacity
        self.dtype = dtype
        # From oldest to newest: a dict keeps the order of insertion.
        self._entries: dict[tuple[str, int], tuple[Tensor, Tensor]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: tuple[str, int]) -> bool:
        return key in self._entries

    @property
    def channels(self) -> int:
        """Length of a feature, 0 while the bank is empty."""
        return next((len(feature_map) for feature_map, _ in self._entries.values()), 0)

    def keys(self) -> list[tuple[str, int]]:
        """Return ``(volume, slice)`` of each map, from oldest to newest."""
        return list(self._entries)

    def slices(self, volume: str) -> list[int]:
        """Return the slices of a volume that have a map, in rising order; maybe none."""
        return sorted(index for name, index in self._entries if name == volume)

    @torch.no_grad()
    def push(self, volume: str, slice_index: int, feature_map: Tensor, frame: Tensor) -> None:
        """Store a copy of one slice's feature map as the newest.

        Args:
            volume: the volume's name; the two phases of one patient are two volumes.
            slice_index: the slice within the volume.
            feature_map: ``(d, h, w)``, detached here.
            frame: ``(3, 3)`` affine from the slice's to the map's row and column.

        Raises:
            ValueError: if a shape does not fit, the frame is not affine, or the map is not finite as stored.

        """
        if feature_map.ndim != 3 or feature_map.numel() == 0:
            raise ValueError(f"feature_map must be (d, h, w), got {tuple(feature_map.shape)}; push slices one by one")
        if tuple(frame.shape) != (3, 3) or frame[2].tolist() != [0, 0, 1]:
            raise ValueError(f"frame must be 3 x 3 with the last row 0 0 1, got {frame.tolist()}")
        stored = feature_map.detach().to(self.dtype, copy=True)
        if not bool(stored.isfinite().all()):
            raise ValueError(
                f"the feature map of {volume!r}, slice {slice_index}, is not finite as {self.dtype}; scale features to "
                "unit length, or give the bank dtype=torch.float32"
            )
        key = (str(volume), int(slice_index))
        self._entries.pop(key, None)
        self._entries[key] = (stored, frame.detach().to("cpu", torch.float64, copy=True))
        while len(self._entries) > self.capacity:
            del self._entries[next(iter(self._entries))]

    @torch.no_grad()
    def lookup(self, volume: str, slice_index: int, points: Tensor) -> tuple[Tensor, Tensor]:
        """Read features at places of a slice, bilinearly.

        Args:
            volume: the volume's name.
            slice_index: a slice that is in the bank.
            points: ``(n, 2)`` row and column in pixels of the slice as it is on disk.

        Returns:
            ``features`` ``(n, d)`` in float32 or wider, zero outside and not of unit length between pixels;
            ``inside`` ``(n,)`` bool, whether the point falls on the map. In the outer half of a border pixel, the
            border's feature is taken.

        Raises:
            ValueError: if the slice is not in the bank, or the points are not ``(n, 2)``.

        """
        if (volume, slice_index) not in self._entries:
            raise ValueError(
                f"slice {slice_index} of {volume!r} is not in the bank, which holds its slices {self.slices(volume)}; "
                "ask `(volume, slice) in bank` first"
            )
        if points.ndim != 2 or points.shape[1] != 2:
            raise ValueError(f"points must be (n, 2) rows and columns, got {tuple(points.shape)}")
        feature_map, frame = self._entries[volume, slice_index]
        size = torch.tensor(feature_map.shape[1:], dtype=torch.float64)
        on_map = points.detach().to("cpu", torch.float64) @ frame[:2, :2].T + frame[:2, 2]
        inside = ((on_map >= -0.5) & (on_map <= size - 0.5)).all(dim=1).to(points.device)

        wide = feature_map.to(points.device, torch.promote_types(self.dtype, torch.float32))
        # grid_sample counts columns first, and pixel edges as -1 and 1.
        grid = ((2 * on_map + 1) / size - 1).flip(1).to(wide)
        features = F.grid_sample(wide[None], grid[None, :, None], padding_mode="border", align_corners=False)
        return torch.where(inside[:, None], features[0, :, :, 0].T, 0.0), inside

    def get_extra_state(self) -> dict[str, Any]:
        """Return the maps, their frames and keys, oldest first, as tensors and plain types alone."""
        return {
            "keys": [list(key) for key in self._entries],
            "maps": [feature_map for feature_map, _ in self._entries.values()],
            "frames": [frame for _, frame in self._entries.values()],
        }

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`get_extra_state` returned.

        Raises:
            ValueError: if the state holds more maps than the capacity, or maps of another type.

        """
        if len(state["keys"]) > self.capacity:
            raise ValueError(
                f"the checkpoint's bank holds {len(state['keys'])} maps, this one has a capacity of {self.capacity}; "
                "build it with the capacity it was trained with"
            )
        types = {feature_map.dtype for feature_map in state["maps"]} - {self.dtype}
        if types:
            raise ValueError(f"the checkpoint's maps are stored as {types.pop()}, this bank's as {self.dtype}")
        self._entries = {
            (str(volume), int(index)): (feature_map, frame.cpu())
            for (volume, index), feature_map, frame in zip(state["keys"], state["maps"], state["frames"], strict=True)
        }
