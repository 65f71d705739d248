from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from fewlabel.transforms.strong.filters import apply_along_axes, blurring, coarsening


@pytest.mark.parametrize("sigma", [0.0, 0.3, 1.2, 40.0])
def test_a_blur_keeps_a_constant_and_what_is_symmetric(sigma: float) -> None:
    matrix = blurring(9, torch.tensor(sigma))
    torch.testing.assert_close(matrix.sum(dim=1), torch.ones(9))
    torch.testing.assert_close(matrix.flip(0, 1), matrix)


def test_a_blur_is_scipys_away_from_the_border() -> None:
    image = torch.rand(40, 50, dtype=torch.float64)
    found = apply_along_axes(
        image, [blurring(40, torch.tensor(1.1)).double(), blurring(50, torch.tensor(2.0)).double()]
    )
    expected = ndimage.gaussian_filter(image.numpy(), (1.1, 2.0), truncate=8)
    np.testing.assert_allclose(found[14:-14, 16:-16], expected[14:-14, 16:-16], atol=1e-6)


def test_coarse_pixels_are_averages() -> None:
    # three large pixels over six small ones, the middle of each at its own average: pixels 2k and 2k + 1 lie a quarter
    # of a large one to both sides of it
    signal = torch.tensor([0.0, 2.0, 4.0, 4.0, 9.0, 1.0])
    means = [1.0, 4.0, 5.0]
    quarter = [means[0], 0.75 * means[0] + 0.25 * means[1], 0.25 * means[0] + 0.75 * means[1]]
    rest = [0.75 * means[1] + 0.25 * means[2], 0.25 * means[1] + 0.75 * means[2], means[2]]
    torch.testing.assert_close(coarsening(6, 0.5) @ signal, torch.tensor(quarter + rest))


@pytest.mark.parametrize(("size", "factor"), [(7, 0.5), (10, 0.33), (5, 0.01), (8, 0.9)])
def test_losing_resolution_keeps_a_constant_and_no_resolution_is_lost_by_a_factor_of_one(
    size: int, factor: float
) -> None:
    torch.testing.assert_close(coarsening(size, factor).sum(dim=1), torch.ones(size))
    torch.testing.assert_close(coarsening(size, 1.0), torch.eye(size))


def test_each_axis_has_its_matrix_and_each_image_of_a_batch_its_own() -> None:
    images = torch.rand(2, 3, 4, 5, 6)
    matrices = [torch.rand(2, 4, 4), None, torch.rand(6, 6)]
    found = apply_along_axes(images, matrices)
    assert found.is_contiguous()
    torch.testing.assert_close(found, torch.einsum("bij,bcjkl,ml->bcikm", matrices[0], images, matrices[2]))
