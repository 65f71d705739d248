from __future__ import annotations

import warnings

import pytest
import torch
import torch.nn.functional as F
from monai.networks.blocks import Warp

from fewlabel.layers import warp


def test_no_displacement_leaves_images_as_they_are() -> None:
    images = torch.rand(2, 3, 7, 12, dtype=torch.float64)
    torch.testing.assert_close(warp(images, images.new_zeros(2, 2, 7, 12)), images, atol=1e-12, rtol=0)


def test_a_constant_shift_of_one_hot_labels_is_the_shifted_labels() -> None:
    torch.manual_seed(0)
    labels = torch.randint(3, (1, 9, 8))
    one_hot = F.one_hot(labels, 3).movedim(-1, 1).float()
    displacement = torch.tensor([2.0, -1.0]).view(1, 2, 1, 1).expand(1, 2, 9, 8)
    moved = warp(one_hot, displacement).argmax(dim=1)
    for row in range(9):
        for column in range(8):
            assert moved[0, row, column] == labels[0, min(row + 2, 8), max(column - 1, 0)]


def test_it_is_monais_block_and_probabilities_still_sum_to_one() -> None:
    torch.manual_seed(0)
    probabilities = torch.randn(2, 4, 6, 10).softmax(dim=1)
    displacement = 3 * torch.randn(2, 2, 6, 10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # says that MONAI was built without its extension
        expected = Warp(mode="bilinear", padding_mode="border")(probabilities, displacement)
    moved = warp(probabilities, displacement)
    torch.testing.assert_close(moved, expected)
    torch.testing.assert_close(moved.sum(dim=1), torch.ones(2, 6, 10))


def test_its_gradients_are_those_of_differences() -> None:
    torch.manual_seed(0)
    images = torch.rand(1, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    # well between pixels, where linear interpolation has a derivative
    displacement = (0.3 * torch.rand(1, 2, 4, 5, dtype=torch.float64) - 0.4).requires_grad_()
    assert torch.autograd.gradcheck(warp, (images, displacement))


@pytest.mark.parametrize("shape", [(1, 2, 4, 4), (2, 2, 4, 5), (2, 3, 4, 4)])
def test_a_displacement_of_other_pixels_is_an_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"need a displacement \(B, 2, H, W\) for each pixel"):
        warp(torch.rand(2, 1, 4, 4), torch.zeros(shape))
