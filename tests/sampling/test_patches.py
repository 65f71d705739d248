from __future__ import annotations

import pytest
import torch

from fewlabel.sampling.patches import COVERAGES, cut_patches, deal_patches, patch_corners, patch_starts


@pytest.mark.parametrize("size", range(3, 60))
@pytest.mark.parametrize("patch", [1, 2, 3])
def test_whole_coverage_reaches_every_pixel_with_as_few_patches_as_can_be(size: int, patch: int) -> None:
    starts = patch_starts(size, patch, "whole")

    assert {start + i for start in starts for i in range(patch)} == set(range(size))
    assert len(starts) == -(-size // patch)
    assert len(set(starts)) == len(starts)


def test_at_224_pixels_the_thesis_patches_cover_the_map_and_the_released_code_misses_a_border() -> None:
    # methods.md 3b: floor(224 / 19) = 11 patches fit, the released code takes 10 and sees 190 of 224 pixels
    assert len(patch_starts(224, 19, "whole")) == 12
    assert patch_starts(224, 19, "floor") == [19 * k for k in range(11)]
    assert patch_starts(224, 19, "released") == [19 * k for k in range(10)]
    assert patch_starts(28, 14, "whole") == patch_starts(28, 14, "floor") == [0, 14]
    assert patch_starts(28, 14, "released") == [0]


@pytest.mark.parametrize("coverage", COVERAGES)
def test_one_patch_may_fill_the_map(coverage: str) -> None:
    assert patch_starts(7, 7, coverage) == [0]


def test_corners_combine_the_starts_of_rows_and_columns_row_by_row() -> None:
    assert patch_corners(4, 6, 3).tolist() == [[0, 0], [0, 3], [1, 0], [1, 3]]


def test_each_map_deals_each_of_its_patches_once() -> None:
    order = deal_patches(5, 12, torch.Generator().manual_seed(0))

    assert order.shape == (12, 5)
    assert all(sorted(column) == list(range(12)) for column in order.T.tolist())


def test_maps_are_shuffled_independently_of_each_other() -> None:
    order = deal_patches(5, 12, torch.Generator().manual_seed(0))

    assert len({tuple(column) for column in order.T.tolist()}) == 5


def test_every_patch_is_equally_likely_in_the_first_group() -> None:
    generator = torch.Generator().manual_seed(0)
    first = torch.cat([deal_patches(1000, 4, generator)[0] for _ in range(4)])

    # four standard deviations of a binomial count: 4 sqrt(4000 * 1/4 * 3/4) = 110
    assert (first.bincount(minlength=4) - 1000).abs().max() < 110


def test_the_order_follows_the_generator_and_without_one_the_global_seed() -> None:
    torch.manual_seed(3)
    first = deal_patches(3, 9)
    torch.manual_seed(3)

    assert torch.equal(first, deal_patches(3, 9))
    assert not torch.equal(first, deal_patches(3, 9))
    assert torch.equal(first, deal_patches(3, 9, torch.Generator().manual_seed(3)))


def test_cut_patches_equal_slices_of_the_maps() -> None:
    maps = torch.rand(3, 5, 9, 11)
    corners = torch.stack([torch.randint(0, 6, (4, 3)), torch.randint(0, 8, (4, 3))], dim=-1)

    cut = cut_patches(maps, corners, 4)

    assert cut.shape == (4, 3, 5, 4, 4)
    for group in range(4):
        for m in range(3):
            row, column = corners[group, m].tolist()
            assert torch.equal(cut[group, m], maps[m, :, row : row + 4, column : column + 4])


def test_the_gradient_of_a_pixel_counts_the_patches_that_hold_it() -> None:
    maps = torch.rand(1, 1, 3, 3, requires_grad=True)
    cut_patches(maps, patch_corners(3, 3, 2)[:, None], 2).sum().backward()

    assert maps.grad is not None
    assert maps.grad[0, 0].tolist() == [[1, 2, 1], [2, 4, 2], [1, 2, 1]]


@pytest.mark.parametrize("patch", [0, 9])
def test_a_patch_that_does_not_fit_is_an_error_that_says_which_do(patch: int) -> None:
    with pytest.raises(ValueError, match=rf"patch of {patch} pixels does not fit into a map of 8: .* from 1 to 8"):
        patch_starts(8, patch)


def test_an_unknown_coverage_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"coverage must be one of .*'all'"):
        patch_starts(8, 4, "all")
