"""Positives of a contrast from other patients, at the places that a registration found to correspond."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

import torch
from torch import Tensor, nn

from fewlabel.sampling.map_bank import MapBank
from fewlabel.sampling.random_choice import sample_indices
from fewlabel.sampling.slice_geometry import SliceGeometry, map_to_slice


class Correspondences(Protocol):
    """Which volumes were registered, and where a point of one lies in another."""

    def partners(self, volume: str) -> Collection[str]:
        """Return the volumes that points of a volume can be followed to."""

    def points(self, source: str, target: str, points: Tensor) -> Tensor:
        """Return where points (n, 3) of the source lie in the target, in millimeters of the RAS+ frame."""


class RegisteredPositives(nn.Module):
    r"""Features that networks saw at the corresponding places of other patients (thesis ch. 6, section 6.3.4).

    A pixel p of a slice of volume q is followed to :math:`p_j = T_{qj}(p)` in each registered volume j (eq. 6.11),
    to the nearest slice there, and to that slice's feature map, if the bank has one; the positive is the mean over
    these (eq. 6.12). The bank is :class:`fewlabel.sampling.MapBank`; the thesis keeps a fifth of the training slices.

    Args:
        correspondences: of the training volumes.
        geometry: of the training volumes.
        capacity: maps that the bank keeps.
        max_volumes: of the volumes j that could serve, draw at most so many for each slice; the mean over a random
            choice is right on average and costs less. None takes all.

    Raises:
        ValueError: a number is below 1.
    """

    def __init__(
        self, correspondences: Correspondences, geometry: SliceGeometry, capacity: int, max_volumes: int | None = 8
    ) -> None:
        super().__init__()
        if max_volumes is not None and max_volumes < 1:
            raise ValueError(f"max_volumes must be at least 1, or None for all, got {max_volumes}")
        self.correspondences = correspondences
        self.geometry = geometry
        self.max_volumes = max_volumes
        self.bank = MapBank(capacity)

    def push(self, volume: str, slice_index: int, affine: Tensor, stride: int, feature_map: Tensor) -> None:
        """Store what the networks see of a slice.

        Args:
            volume: name of the volume.
            slice_index: number of the slice in it.
            affine: (4, 4), see :func:`fewlabel.sampling.map_to_slice`.
            stride: of the map.
            feature_map: (d, h, w) of unit vectors.
        """
        self.bank.push(volume, slice_index, feature_map, map_to_slice(affine, stride).inverse())

    @torch.no_grad()
    def find(self, volume: str, slice_index: int, affine: Tensor, stride: int, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean feature of other volumes at the places that correspond to pixels.

        Args:
            volume: name of the pixels' volume.
            slice_index: number of their slice in it.
            affine: (4, 4) of their image, see :func:`fewlabel.sampling.map_to_slice`.
            stride: of the map whose pixels they are.
            pixels: (n, 2), row and column on the map.

        Returns:
            Features (n, d) of float32, not of unit length, 0 where none was found; and how many volumes gave one (n,).
            With an empty bank d is 0.
        """
        partners = self._available(volume)
        to_slice = map_to_slice(affine, stride)
        on_disk = pixels.to("cpu", torch.float64) @ to_slice[:2, :2].T + to_slice[:2, 2]
        points = self.geometry.to_millimeters(volume, slice_index, on_disk)
        sums = torch.zeros(len(pixels), self.bank.channels, device=pixels.device)
        counts = torch.zeros(len(pixels), device=pixels.device)
        for partner in partners:
            numbers, places = self.geometry.to_slices(partner, self.correspondences.points(volume, partner, points))
            for number in sorted(set(self.bank.slices(partner)) & set(numbers.tolist())):
                chosen = (numbers == number).nonzero()[:, 0].to(pixels.device)
                features, inside = self.bank.lookup(partner, number, places[chosen.cpu()].to(pixels.device))
                sums[chosen] += features.float()
                counts[chosen] += inside
        return sums / counts.clamp(min=1)[:, None], counts

    def _available(self, volume: str) -> list[str]:
        stored = {name for name, _ in self.bank.keys()}  # noqa: SIM118 - a bank is no dict
        partners = sorted(set(self.correspondences.partners(volume)) & stored)
        if self.max_volumes is None:
            return partners
        return [partners[number] for number in sample_indices(len(partners), self.max_volumes).tolist()]
