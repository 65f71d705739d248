from __future__ import annotations

import copy
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fewlabel.sampling import MapBank

HERE = torch.eye(3)


def feature_map(seed: int, d: int = 3, h: int = 5, w: int = 7) -> Tensor:
    return torch.randn(d, h, w, generator=torch.Generator().manual_seed(seed))


def ramp(h: int = 5, w: int = 7) -> Tensor:
    """A map whose two channels are the row and the column, so that a look-up shows where it read."""
    rows, columns = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    return torch.stack([rows, columns]).float()


def bilinear(image: list[list[float]], row: float, column: float) -> float:
    """Weighted mean of the four pixels around a point, with the border continued outward."""
    total = 0.0
    for r in (math.floor(row), math.floor(row) + 1):
        for c in (math.floor(column), math.floor(column) + 1):
            weight = (1 - abs(row - r)) * (1 - abs(column - c))
            total += weight * image[min(max(r, 0), len(image) - 1)][min(max(c, 0), len(image[0]) - 1)]
    return total


def test_keeps_the_newest_maps_in_the_order_they_came() -> None:
    bank = MapBank(capacity=3)
    for index in range(5):
        bank.push("a", index, feature_map(index), HERE)
        assert len(bank) == min(index + 1, 3)
    assert bank.keys() == [("a", 2), ("a", 3), ("a", 4)]
    assert ("a", 1) not in bank
    assert ("a", 2) in bank


def test_an_updated_slice_holds_the_new_features_takes_no_room_and_becomes_the_newest() -> None:
    bank = MapBank(capacity=2)
    bank.push("a", 0, torch.zeros(2, 5, 7), HERE)
    bank.push("a", 1, torch.zeros(2, 5, 7), HERE)
    bank.push("a", 0, ramp(), HERE)
    assert bank.keys() == [("a", 1), ("a", 0)]
    assert bank.lookup("a", 0, torch.tensor([[3.0, 4.0]]))[0].tolist() == [[3, 4]]
    bank.push("b", 0, ramp(), HERE)
    assert bank.keys() == [("a", 0), ("b", 0)]


def test_lists_the_slices_of_a_volume_in_rising_order() -> None:
    bank = MapBank(capacity=9)
    for volume, index in [("a", 7), ("b", 1), ("a", 10), ("a", 2)]:
        bank.push(volume, index, ramp(), HERE)
    assert bank.slices("a") == [2, 7, 10]
    assert bank.slices("c") == []


def test_a_look_up_is_bilinear_between_pixel_centers() -> None:
    bank, stored = MapBank(1, dtype=torch.float32), feature_map(0)
    bank.push("a", 0, stored, HERE)
    points = torch.rand(50, 2, generator=torch.Generator().manual_seed(1)) * torch.tensor([5.0, 7.0]) - 0.5
    features, inside = bank.lookup("a", 0, points)
    assert inside.all()
    expected = [[bilinear(channel, row, column) for channel in stored.tolist()] for row, column in points.tolist()]
    torch.testing.assert_close(features, torch.tensor(expected), rtol=1e-4, atol=1e-5)


def test_at_a_pixel_center_the_feature_is_the_stored_one() -> None:
    bank, stored = MapBank(1), feature_map(0)
    bank.push("a", 0, stored, HERE)
    features, _ = bank.lookup("a", 0, torch.tensor([[2.0, 6.0], [0.0, 3.0]]))
    torch.testing.assert_close(features, torch.stack([stored[:, 2, 6], stored[:, 0, 3]]), rtol=1e-3, atol=1e-5)


def test_a_point_belongs_to_the_map_up_to_the_edge_of_the_border_pixels() -> None:
    bank = MapBank(1)
    bank.push("a", 0, ramp() + 1, HERE)
    points = torch.tensor([[-0.5, 0.0], [-0.51, 0.0], [4.5, 6.5], [4.51, 6.0], [0.0, 6.51], [torch.nan, 0.0]])
    features, inside = bank.lookup("a", 0, points)
    assert inside.tolist() == [True, False, True, False, False, False]
    assert features[inside].tolist() == [[1, 1], [5, 7]]
    assert features[~inside].abs().max() == 0


def test_the_frame_takes_points_through_resizing_and_a_quarter_turn() -> None:
    # A 20 x 28 slice, turned: (r, c) -> (27 - c, r), then seen at stride 4: r -> (r + 1/2) / 4 - 1/2.
    turn = torch.tensor([[0.0, -1.0, 27.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    stride = torch.tensor([[0.25, 0.0, -0.375], [0.0, 0.25, -0.375], [0.0, 0.0, 1.0]], dtype=torch.float64)
    bank = MapBank(1, dtype=torch.float32)
    bank.push("a", 0, ramp(7, 5), stride @ turn)
    points = torch.tensor([[3.5, 5.5], [11.5, 21.5], [17.0, 2.0]])
    features, inside = bank.lookup("a", 0, points)
    expected = [[(27 - c + 0.5) / 4 - 0.5, (r + 0.5) / 4 - 0.5] for r, c in points.tolist()]
    assert inside.all()
    torch.testing.assert_close(features, torch.tensor(expected))


def test_turning_map_and_frame_together_changes_no_look_up() -> None:
    plain, turned, stored = MapBank(1), MapBank(1), feature_map(0)
    plain.push("a", 0, stored, HERE)
    flip = torch.tensor([[1.0, 0.0, 0.0], [0.0, -1.0, 6.0], [0.0, 0.0, 1.0]])
    turned.push("a", 0, stored.flip(2), flip)
    points = torch.tensor([[0.3, 5.1], [4.0, 0.0], [2.2, 2.9], [7.0, 1.0]])
    for mine, theirs in zip(plain.lookup("a", 0, points), turned.lookup("a", 0, points), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


def test_a_map_of_one_pixel_can_be_read() -> None:
    bank = MapBank(1)
    bank.push("a", 0, torch.full((2, 1, 1), 3.0), HERE)
    assert bank.lookup("a", 0, torch.tensor([[0.2, -0.4]]))[0].tolist() == [[3, 3]]


def test_no_points_give_no_features() -> None:
    bank = MapBank(1)
    bank.push("a", 0, ramp(), HERE)
    features, inside = bank.lookup("a", 0, torch.zeros(0, 2))
    assert features.shape == (0, 2)
    assert inside.shape == (0,)


def test_maps_are_detached_copies_in_half_precision() -> None:
    bank, source = MapBank(1), ramp().half()
    bank.push("a", 0, source.requires_grad_(), HERE)
    with torch.no_grad():
        source.zero_()
    features, _ = bank.lookup("a", 0, torch.tensor([[1.0, 2.0]]))
    assert features.tolist() == [[1, 2]]
    assert not features.requires_grad
    assert bank.get_extra_state()["maps"][0].dtype == torch.float16


def test_a_restored_bank_goes_on_bit_for_bit(tmp_path: Path) -> None:
    bank = MapBank(capacity=3)
    for index in (4, 0, 2, 4, 9):
        bank.push("patient001_frame01", index, feature_map(index), HERE + index / 7 * torch.tensor([[1.0], [1.0], [0]]))
    torch.save(bank.state_dict(), tmp_path / "bank.pt")
    restored = MapBank(capacity=3)
    restored.push("other", 1, feature_map(1), HERE)
    restored.load_state_dict(torch.load(tmp_path / "bank.pt", weights_only=True))

    for both in (bank, restored):
        both.push("b", 0, feature_map(20), HERE)
    assert restored.keys() == bank.keys() == [("patient001_frame01", 4), ("patient001_frame01", 9), ("b", 0)]
    mine, theirs = restored.get_extra_state(), bank.get_extra_state()
    for name in ("maps", "frames"):
        assert all(torch.equal(a, b) for a, b in zip(mine[name], theirs[name], strict=True))


def test_a_saved_state_does_not_change_when_the_bank_goes_on() -> None:
    bank = MapBank(capacity=2)
    bank.push("a", 0, ramp(), HERE)
    state = bank.state_dict()
    before = copy.deepcopy(state)
    bank.push("a", 0, ramp() + 1, HERE)
    bank.push("a", 1, ramp(), HERE)
    assert state["_extra_state"]["keys"] == before["_extra_state"]["keys"] == [["a", 0]]
    assert torch.equal(state["_extra_state"]["maps"][0], before["_extra_state"]["maps"][0])


def test_a_state_that_does_not_fit_is_refused() -> None:
    bank = MapBank(capacity=2)
    bank.push("a", 0, ramp(), HERE)
    bank.push("a", 1, ramp(), HERE)
    with pytest.raises(ValueError, match="bank holds 2 maps, this one has a capacity of 1"):
        MapBank(capacity=1).load_state_dict(bank.state_dict())
    with pytest.raises(ValueError, match=r"stored as torch.float16, this bank's as torch.float32"):
        MapBank(capacity=2, dtype=torch.float32).load_state_dict(bank.state_dict())


@pytest.mark.parametrize(
    ("stored", "frame", "message"),
    [
        (torch.ones(5, 7), HERE, r"feature_map must be \(d, h, w\), got \(5, 7\)"),
        (torch.ones(2, 0, 7), HERE, r"got \(2, 0, 7\)"),
        (ramp(), torch.eye(2), "frame must be 3 x 3"),
        (ramp(), torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 1, 1]]), "with the last row 0 0 1"),
        (torch.full((1, 2, 2), 1e6), HERE, "'a', slice 3, is not finite as torch.float16; scale features"),
    ],
)
def test_a_refused_push_says_why_and_stores_nothing(stored: Tensor, frame: Tensor, message: str) -> None:
    bank = MapBank(capacity=2)
    with pytest.raises(ValueError, match=message):
        bank.push("a", 3, stored, frame)
    assert len(bank) == 0


def test_looking_up_what_is_not_there_names_what_is() -> None:
    bank = MapBank(capacity=2)
    bank.push("a", 3, ramp(), HERE)
    with pytest.raises(ValueError, match=r"slice 4 of 'a' is not in the bank, which holds its slices \[3\]"):
        bank.lookup("a", 4, torch.zeros(1, 2))


def test_refuses_points_that_are_no_pairs_and_a_capacity_of_nothing() -> None:
    bank = MapBank(capacity=1)
    bank.push("a", 3, ramp(), HERE)
    with pytest.raises(ValueError, match=r"points must be \(n, 2\) rows and columns, got \(1, 3\)"):
        bank.lookup("a", 3, torch.zeros(1, 3))
    with pytest.raises(ValueError, match="capacity must be at least 1 map, got 0"):
        MapBank(capacity=0)
