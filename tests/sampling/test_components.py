from __future__ import annotations

import pytest
import torch
from scipy import ndimage

from fewlabel.sampling import largest_components


@pytest.mark.parametrize("spatial", [(24, 20), (10, 12, 8)])
def test_one_component_of_each_class_stays_and_it_is_the_largest(spatial: tuple[int, ...]) -> None:
    raw = torch.randint(4, (2, 1, *spatial), generator=torch.Generator().manual_seed(0))
    raw[:, :, :3] = 0
    clean = largest_components(raw, num_classes=4)
    assert clean.dtype == raw.dtype
    everywhere = ndimage.generate_binary_structure(len(spatial), len(spatial))
    for one, other in zip(raw[:, 0].numpy(), clean[:, 0].numpy(), strict=True):
        for number in range(1, 4):
            parts, count = ndimage.label(one == number, everywhere)
            largest = max(ndimage.sum(one == number, parts, range(1, count + 1)))
            assert ndimage.label(other == number, everywhere)[1] == 1
            assert (other == number).sum() == largest
        assert bool(((one == other) | (other == 0)).all())


def test_no_image_and_no_foreground_stay_as_they_are() -> None:
    assert largest_components(torch.zeros(0, 1, 4, 4, dtype=torch.long), 3).shape == (0, 1, 4, 4)
    assert not largest_components(torch.zeros(2, 1, 4, 4, dtype=torch.long), 3).any()
