from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fewlabel.sampling import RegisteredPositives, SliceGeometry

SPACING = torch.diag(torch.tensor([1.5, 1.5, 10.0, 1.0]))


class Shifts:
    """Patients that lie at known places: a point of one is that of another, shifted."""

    def __init__(self, **shifts: tuple[float, float, float]) -> None:
        self.shifts = {name: torch.tensor(shift, dtype=torch.float64) for name, shift in shifts.items()}

    def partners(self, volume: str) -> list[str]:
        return [name for name in self.shifts if name != volume]

    def points(self, source: str, target: str, points: Tensor) -> Tensor:
        return points - self.shifts[source] + self.shifts[target]


def positives_of(shifts: Shifts, max_volumes: int | None = None) -> RegisteredPositives:
    return RegisteredPositives(shifts, SliceGeometry(dict.fromkeys(shifts.shifts, SPACING)), 20, max_volumes)


def places_map(number: int, stride: int = 4, size: int = 16) -> Tensor:
    """A map (3, h, w) that holds where on disk its pixels lie: row, column and slice."""
    along = (torch.arange(size) * stride + (stride - 1) / 2).float() / 64
    return torch.stack([along[:, None].expand(-1, size), along[None].expand(size, -1), torch.full((size,) * 2, number)])


def test_the_feature_is_that_of_the_same_place_in_the_nearest_slice_of_other_patients() -> None:
    shifts = Shifts(a=(0, 0, 0), b=(3.0, 6.0, 10.0), c=(0.0, 0.0, 24.0))
    positives = positives_of(shifts)
    for volume in "bc":
        for number in range(5):
            positives.push(volume, number, torch.eye(4), 4, places_map(number))
    pixels = torch.tensor([[3, 4], [10, 6]])
    features, counts = positives.find("a", 1, torch.eye(4), 4, pixels)
    on_disk = pixels * 4 + 1.5
    in_b = torch.cat([on_disk / 64 + torch.tensor([2.0, 4.0]) / 64, torch.full((2, 1), 2.0)], dim=1)
    in_c = torch.cat([on_disk / 64, torch.full((2, 1), 3.0)], dim=1)  # 34 mm is nearest to the slice at 30

    assert counts.tolist() == [2, 2]
    torch.testing.assert_close(features, (in_b + in_c) / 2, atol=2e-3, rtol=0)


def test_augmented_slices_find_and_keep_their_places() -> None:
    shifts = Shifts(a=(0, 0, 0), b=(3.0, 6.0, 0.0))
    positives = positives_of(shifts)
    turned = torch.eye(4)
    turned[:2, :2] = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
    turned[:2, 3] = torch.tensor([63.0, 0.0])  # (r, c) of the turned image is (63 - c, r) on disk
    positives.push("b", 1, turned, 4, places_map(1).transpose(1, 2).flip(2))
    features, counts = positives.find("a", 1, torch.eye(4), 4, torch.tensor([[3, 4]]))

    assert counts.tolist() == [1]
    expected = torch.tensor([[(3 * 4 + 1.5 + 2) / 64, (4 * 4 + 1.5 + 4) / 64, 1.0]])
    torch.testing.assert_close(features, expected, atol=2e-3, rtol=0)


def test_what_lies_outside_or_was_never_seen_gives_nothing() -> None:
    positives = positives_of(Shifts(a=(0, 0, 0), b=(900.0, 0.0, 0.0), c=(0.0, 0.0, 500.0), d=(0, 0, 0)))
    assert positives.find("a", 0, torch.eye(4), 4, torch.tensor([[1, 1]]))[0].shape == (1, 0)
    for volume in "abc":
        positives.push(volume, 0, torch.eye(4), 4, places_map(0))
    features, counts = positives.find("a", 0, torch.eye(4), 4, torch.tensor([[1, 1]]))

    assert counts.tolist() == [0]
    assert features.tolist() == [[0, 0, 0]]


def test_at_most_so_many_volumes_are_asked_and_each_may_be_drawn() -> None:
    positives = positives_of(Shifts(**dict.fromkeys("abcdef", (0.0, 0.0, 0.0))), max_volumes=2)
    for place, volume in enumerate("bcdef"):
        mark = torch.nn.functional.one_hot(torch.tensor(place), 5).float()
        positives.push(volume, 0, torch.eye(4), 4, mark[:, None, None].expand(5, 16, 16))
    seen = torch.zeros(5)
    for _ in range(60):
        features, counts = positives.find("a", 0, torch.eye(4), 4, torch.tensor([[2, 2]]))
        assert counts.tolist() == [2]
        seen += features[0]

    assert seen.min() > 3
    with pytest.raises(ValueError, match="max_volumes must be at least 1"):
        positives_of(Shifts(a=(0, 0, 0)), max_volumes=0)
