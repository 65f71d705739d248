from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor

from fewlabel.losses.label_map import label_map

SCORES = torch.zeros(2, 3, 4, 5)


@pytest.mark.parametrize("shape", [(2, 4, 5), (2, 1, 4, 5)])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32])
def test_takes_indices_with_or_without_a_channel_axis_and_of_any_type(
    shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    indices = torch.arange(40).reshape(2, 4, 5) % 3
    result = label_map(indices.reshape(shape).to(dtype), SCORES, -100)
    assert result.dtype == torch.int64
    assert torch.equal(result, indices)


def test_one_voxel_wide_axes_are_not_mistaken_for_a_channel_axis() -> None:
    assert label_map(torch.zeros(2, 1, 5), torch.zeros(2, 3, 1, 5), -100).shape == (2, 1, 5)


def test_strips_monai_metadata() -> None:
    assert type(label_map(MetaTensor(torch.ones(2, 1, 4, 5)), SCORES, -100)) is torch.Tensor


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (torch.zeros(2, 3, 4, 5), r"target has shape \(2, 3, 4, 5\).*need \(2, 4, 5\).*\.argmax\(1\)"),
        (torch.zeros(1, 4, 5), r"target has shape \(1, 4, 5\)"),
        (torch.full((2, 4, 5), 0.5), "target holds fractions"),
        (torch.full((2, 4, 5), 3), r"target holds the value 3, expected 0 \.\. 2 for predictions of 3 classes"),
        (torch.full((2, 4, 5), -1), "target holds the value -1"),
        (torch.full((2, 4, 5), torch.nan), "target holds fractions"),
    ],
)
def test_says_what_is_wrong_with_a_target(target: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        label_map(target, SCORES, -100)


@pytest.mark.parametrize("scores", [torch.zeros(2, 3), torch.zeros(2, 3, 4, 5, dtype=torch.int64)])
def test_says_what_predictions_it_needs(scores: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"predictions must be floating point with shape \(B, K, \*spatial\)"):
        label_map(torch.zeros(2, 4, 5), scores, -100)
