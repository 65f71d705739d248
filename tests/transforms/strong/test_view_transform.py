from __future__ import annotations

from typing import Any

import pytest
import torch
from monai.transforms import Compose, RandFlipd

from fewlabel.transforms import StrongViewd


def item() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "image": torch.randn(1, 12, 10, 8, generator=generator),
        "label": torch.randint(2, (1, 12, 10, 8), generator=generator),
    }


def test_the_weak_view_and_the_label_stay_as_they_are() -> None:
    found = StrongViewd(prob=1.0).set_random_state(seed=0)(item())

    assert torch.equal(found["image"], item()["image"])
    assert torch.equal(found["label"], item()["label"])
    assert not torch.equal(found["strong"], found["image"])


def test_no_voxel_moves() -> None:
    image = torch.zeros(1, 9, 9, 9)
    image[0, 2, 6, 4] = 5.0

    for seed in range(5):
        strong = StrongViewd(prob=1.0).set_random_state(seed=seed)({"image": image})["strong"]
        assert strong.flatten().argmax() == image.flatten().argmax()


@pytest.mark.parametrize("change", [{"noise": 0.1}, {"sigma": (1.0, 1.0)}, {"gamma": (1.5, 1.5)}, {"shift": 0.1}])
def test_each_change_can_be_had_alone(change: dict[str, Any]) -> None:
    nothing: dict[str, Any] = {"noise": 0.0, "sigma": (1e-3, 1e-3), "gamma": (1.0, 1.0), "shift": 0.0}
    found = StrongViewd(prob=1.0, **nothing).set_random_state(seed=0)(item())
    torch.testing.assert_close(found["strong"], found["image"], atol=1e-5, rtol=0)

    found = StrongViewd(prob=1.0, **{**nothing, **change}).set_random_state(seed=0)(item())
    assert (found["strong"] - found["image"]).abs().max() > 1e-3


def test_without_any_change_both_views_are_equal_but_not_the_same_memory() -> None:
    found = StrongViewd(prob=0.0)(item())

    assert torch.equal(found["strong"], found["image"])
    found["strong"] += 1
    assert torch.equal(found["image"], item()["image"])


def test_the_seed_of_the_transforms_around_it_decides() -> None:
    def views(seed: int) -> dict[str, torch.Tensor]:
        chain = Compose([RandFlipd("image", prob=0.5, spatial_axis=0), StrongViewd()])
        found: dict[str, torch.Tensor] = chain.set_random_state(seed=seed)(item())
        return found

    assert torch.equal(views(1)["strong"], views(1)["strong"])
    assert not torch.equal(views(1)["strong"], views(2)["strong"])


def test_a_chance_above_one_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"prob must be a probability in \[0, 1\], got 2"):
        StrongViewd(prob=2)
