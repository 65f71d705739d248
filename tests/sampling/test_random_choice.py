from __future__ import annotations

from collections import Counter
from itertools import combinations

import pytest
import torch

from fewlabel.sampling import sample_indices, sample_mask


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_chosen_numbers_are_distinct_and_below_the_population() -> None:
    chosen = sample_indices(100, 30, seeded())
    assert len(set(chosen.tolist())) == 30
    assert 0 <= chosen.min() <= chosen.max() < 100


@pytest.mark.parametrize("count", [4, 9])
def test_a_small_population_is_returned_whole_and_in_order(count: int) -> None:
    assert sample_indices(4, count, seeded()).tolist() == [0, 1, 2, 3]


def test_nothing_can_be_chosen_from_nothing_and_of_nothing() -> None:
    assert sample_indices(0, 5).tolist() == []
    assert sample_indices(5, 0, seeded()).tolist() == []


def test_every_set_is_about_equally_likely() -> None:
    generator = seeded()
    counts = Counter(tuple(sorted(sample_indices(4, 2, generator).tolist())) for _ in range(3000))
    assert set(counts) == set(combinations(range(4), 2))
    # 6 sets, 500 expected each, standard deviation sqrt(3000 x 1/6 x 5/6) = 20.4
    assert all(abs(count - 500) < 5 * 20.4 for count in counts.values())


def test_the_same_seed_draws_the_same_and_a_generator_moves_on() -> None:
    generator = seeded(7)
    first, second = sample_indices(1000, 10, generator), sample_indices(1000, 10, generator)
    assert torch.equal(first, sample_indices(1000, 10, seeded(7)))
    assert not torch.equal(first, second)


def test_an_explicit_generator_leaves_the_global_one_alone() -> None:
    before = torch.get_rng_state()
    sample_mask(torch.ones(100, dtype=torch.bool), 10, seeded())
    assert torch.equal(torch.get_rng_state(), before)


def test_draws_only_where_the_mask_is_true() -> None:
    mask = torch.arange(1000) % 7 == 3
    drawn = sample_mask(mask, 50, seeded())
    assert len(set(drawn.tolist())) == 50
    assert mask[drawn].all()


def test_takes_every_true_entry_when_there_are_few() -> None:
    assert sample_mask(torch.tensor([False, True, False, True]), 50).tolist() == [1, 3]
    assert sample_mask(torch.zeros(4, dtype=torch.bool), 50).tolist() == []


def test_refuses_a_negative_count() -> None:
    with pytest.raises(ValueError, match="cannot draw -1 items"):
        sample_indices(5, -1)


@pytest.mark.parametrize("mask", [torch.ones(3), torch.ones(2, 2, dtype=torch.bool)])
def test_refuses_what_is_no_bool_vector(mask: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"mask must be a bool vector \(n,\), got"):
        sample_mask(mask, 1)
