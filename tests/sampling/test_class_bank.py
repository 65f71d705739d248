from __future__ import annotations

import copy
from collections import deque
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fewlabel.sampling import ClassBank


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(first: int, count: int) -> tuple[Tensor, Tensor]:
    """Features that carry a running number, with labels 1 and 2 in turn."""
    numbers = torch.arange(first, first + count)
    return numbers[:, None].expand(-1, 3).float(), 1 + numbers % 2


def contents(bank: ClassBank, class_index: int = 0) -> list[int]:
    return sorted(bank.draw(class_index, 10**6)[0][:, 0].int().tolist())


def test_new_keys_replace_the_oldest_ones_across_the_wrap_around() -> None:
    bank = ClassBank(num_classes=3, channels=3, capacity=8)
    expected: deque[int] = deque(maxlen=8)
    for first in range(0, 40, 2):
        bank.push(0, *numbered(first, 2))
        expected.extend((first, first + 1))
        assert contents(bank) == list(expected)


def test_pushes_that_do_not_divide_the_capacity_wrap_around_as_well() -> None:
    bank = ClassBank(num_classes=3, channels=3, capacity=7, max_fraction=0.5)  # quota 3
    expected: deque[int] = deque(maxlen=7)
    for first in range(0, 45, 3):
        bank.push(0, *numbered(first, 3))
        expected.extend(range(first, first + 3))
        assert contents(bank) == list(expected)


def test_one_push_replaces_at_most_a_quarter_by_a_random_choice() -> None:
    bank = ClassBank(num_classes=3, channels=3, capacity=16)
    for first in (0, 4, 8, 12):
        bank.push(0, *numbered(first, 4))
    assert bank.push(0, *numbered(100, 1000), seeded()) == 4
    kept = contents(bank)
    assert kept[:12] == list(range(4, 16))  # the quarter that left is the oldest
    assert all(100 <= number < 1100 for number in kept[12:])
    assert kept[12:] != [100, 101, 102, 103]


def test_any_key_of_a_large_offer_may_be_stored() -> None:
    generator, seen = seeded(), set()
    for _ in range(200):
        bank = ClassBank(num_classes=3, channels=3, capacity=8)
        bank.push(0, *numbered(0, 10), generator)
        seen.update(contents(bank))
    assert seen == set(range(10))


def test_features_keep_their_labels() -> None:
    bank = ClassBank(num_classes=3, channels=3, capacity=12)
    for first in range(0, 60, 5):
        bank.push(0, *numbered(first, 5), seeded(first))
    features, labels = bank.draw(0, 6, seeded())
    assert torch.equal(labels, 1 + features[:, 0].long() % 2)


def test_classes_have_stores_of_their_own() -> None:
    bank = ClassBank(num_classes=3, channels=3, capacity=8)
    bank.push(0, *numbered(0, 2))
    bank.push(2, torch.full((1, 3), 9.0), torch.tensor([0]))
    assert contents(bank, 0) == [0, 1]
    assert contents(bank, 1) == []
    assert contents(bank, 2) == [9]


def test_an_empty_store_gives_nothing_of_the_right_shape() -> None:
    features, labels = ClassBank(num_classes=2, channels=5, capacity=8).draw(1, 500)
    assert (features.shape, features.dtype) == ((0, 5), torch.float32)
    assert (labels.shape, labels.dtype) == ((0,), torch.int64)


def test_an_empty_push_changes_nothing() -> None:
    bank = ClassBank(num_classes=3, channels=3, capacity=8)
    bank.push(0, *numbered(0, 2))
    before = copy.deepcopy(bank.state_dict())
    assert bank.push(0, torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)) == 0
    assert all(torch.equal(before[name], tensor) for name, tensor in bank.state_dict().items())


def test_a_draw_has_no_doubles_and_no_empty_slot() -> None:
    bank = ClassBank(num_classes=3, channels=3, capacity=100)
    bank.push(0, *numbered(1, 20))
    drawn = bank.draw(0, 10, seeded())[0][:, 0].tolist()
    assert len(set(drawn)) == 10
    assert min(drawn) >= 1


def test_a_drawn_feature_is_a_copy_without_a_graph() -> None:
    bank = ClassBank(num_classes=3, channels=3, capacity=8, dtype=torch.float32)
    features, labels = numbered(1, 2)
    bank.push(0, features.clone().requires_grad_(), labels)
    drawn = bank.draw(0, 2)[0]
    assert not drawn.requires_grad
    drawn.zero_()
    assert contents(bank) == [1, 2]


def test_unit_features_lose_less_than_a_thousandth_in_half_precision() -> None:
    bank = ClassBank(num_classes=2, channels=128, capacity=100)
    features = torch.nn.functional.normalize(torch.randn(25, 128, generator=seeded()), dim=1)
    bank.push(0, features, torch.ones(25, dtype=torch.int64))
    torch.testing.assert_close(bank.draw(0, 25)[0], features, rtol=1e-3, atol=1e-6)


def test_a_restored_bank_goes_on_bit_for_bit(tmp_path: Path) -> None:
    def step(bank: ClassBank, generator: torch.Generator, first: int) -> tuple[Tensor, Tensor]:
        bank.push(first % 2 * 2, torch.randn(9, 3, generator=generator), torch.ones(9, dtype=torch.int64), generator)
        return bank.draw(0, 4, generator)

    bank, generator = ClassBank(num_classes=3, channels=3, capacity=20), seeded()
    for first in range(9):
        step(bank, generator, first)
    torch.save({"bank": bank.state_dict(), "generator": generator.get_state()}, tmp_path / "checkpoint.pt")

    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    restored, again = ClassBank(num_classes=3, channels=3, capacity=20), torch.Generator()
    restored.load_state_dict(saved["bank"])
    again.set_state(saved["generator"])
    for first in range(9, 30):
        for mine, theirs in zip(step(restored, again, first), step(bank, generator, first), strict=True):
            assert torch.equal(mine, theirs)
    for name, tensor in bank.state_dict().items():
        assert torch.equal(restored.state_dict()[name], tensor)


def test_the_write_positions_are_part_of_the_state() -> None:
    assert set(ClassBank(2, 3, 4).state_dict()) == {"features", "labels", "position", "filled"}


def test_a_bank_of_another_size_is_not_restored_silently() -> None:
    with pytest.raises(RuntimeError, match="size mismatch for features"):
        ClassBank(2, 3, capacity=8).load_state_dict(ClassBank(2, 3, capacity=16).state_dict())


@pytest.mark.parametrize(
    ("class_index", "features", "labels", "message"),
    [
        (3, torch.ones(1, 3), torch.tensor([0]), r"class_index must be in 0 \.\. 2, got 3"),
        (-1, torch.ones(1, 3), torch.tensor([0]), "got -1"),
        (0, torch.ones(1, 4), torch.tensor([1]), r"expected features \(m, 3\) and labels \(m,\), got \(1, 4\)"),
        (0, torch.ones(2, 3), torch.tensor([1]), r"got \(2, 3\) and \(1,\)"),
        (1, torch.ones(1, 3), torch.tensor([1]), "labels hold 1, but the negatives of class 1 must be of the other"),
        (0, torch.ones(1, 3), torch.tensor([3]), "labels hold 3"),
        (0, torch.full((1, 3), 1e6), torch.tensor([1]), "class 0 are not finite as torch.float16; scale them"),
        (0, torch.full((1, 3), torch.nan), torch.tensor([1]), "not finite"),
    ],
)
def test_a_refused_push_says_why_and_leaves_the_bank_as_it_was(
    class_index: int, features: Tensor, labels: Tensor, message: str
) -> None:
    bank = ClassBank(num_classes=3, channels=3, capacity=8)
    bank.push(0, *numbered(0, 2))
    with pytest.raises(ValueError, match=message):
        bank.push(class_index, features, labels)
    assert contents(bank) == [0, 1]
    assert contents(bank, 1) == contents(bank, 2) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"capacity": 0}, r"must be at least 1, got 2, 3, 0"),
        ({"max_fraction": 0.0}, r"max_fraction must be a share of the capacity in \(0, 1\], got 0.0"),
        ({"max_fraction": 1.5}, "got 1.5"),
    ],
)
def test_says_which_setting_is_out_of_range(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ClassBank(**{"num_classes": 2, "channels": 3, **arguments})


def test_refuses_to_draw_from_a_class_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match=r"class_index must be in 0 \.\. 1, got 2"):
        ClassBank(2, 3, 8).draw(2)
