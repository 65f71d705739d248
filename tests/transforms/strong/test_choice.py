from __future__ import annotations

import pytest
import torch

from fewlabel.transforms import (
    SliceAugmentationd,
    Strengths,
    StrongPatchAugmentationd,
    StrongSliceAugmentationd,
    StrongViewd,
    patch_augmentation,
    slice_augmentation,
)


def test_a_name_chooses_and_takes_its_arguments_along() -> None:
    published = slice_augmentation("published", (8, 9), flips=False, angle=5, released_resize=True)
    assert isinstance(published, SliceAugmentationd)
    assert (published.size, published.flips, published.angle, published.released_resize) == ((8, 9), False, 5, True)
    strengths = Strengths(angle=3)
    strong = slice_augmentation("strong", (8, 9), flips=True, strengths=strengths)
    assert isinstance(strong, StrongSliceAugmentationd)
    assert (strong.size, strong.flips, strong.strengths) == ((8, 9), True, strengths)
    patches = patch_augmentation("strong", (8, 9, 7), spacing=(1, 1, 3), flips=False, strengths=strengths)
    assert isinstance(patches, StrongPatchAugmentationd)
    assert (patches.size, patches.spacing, patches.flips) == ((8, 9, 7), (1, 1, 3), False)


def test_published_patches_are_pieces_that_are_turned_in_the_plane_and_mirrored() -> None:
    volume = torch.rand(1, 6, 6, 3)
    turned = [volume.rot90(k, (1, 2)) for k in range(4)]
    whole = [*turned, *(one.flip(1) for one in turned)]
    augment = patch_augmentation("published", (6, 6, 3))
    seen = set()
    for seed in range(80):
        found = augment.set_random_state(seed=seed)({"image": volume})["image"]  # type: ignore[union-attr]
        (which,) = {number for number, one in enumerate(whole) if torch.equal(found.as_tensor(), one)}
        seen.add(which)
    assert seen == set(range(8))
    still = patch_augmentation("published", (8, 6, 3), flips=False, turn_prob=0.0)({"image": volume})["image"]
    torch.testing.assert_close(still[:, 1:7].as_tensor(), volume)  # padded with zeros


@pytest.mark.parametrize("choose", [slice_augmentation, patch_augmentation])
def test_an_unknown_name_is_refused(choose: type) -> None:
    with pytest.raises(ValueError, match='augmentation must be "published" or "strong", got \'weak\''):
        choose("weak", (8, 8, 8))


def test_what_the_strong_augmentation_does_not_do_is_refused() -> None:
    with pytest.raises(ValueError, match="released_resize belongs to the published augmentation"):
        slice_augmentation("strong", (8, 8), released_resize=True)


@pytest.mark.parametrize("name", ["published", "strong"])
def test_transforms_that_follow_see_the_patch(name: str) -> None:
    augment = patch_augmentation(name, (4, 4, 2), then=[StrongViewd()])
    found = augment.set_random_state(seed=0)({"image": torch.rand(1, 9, 9, 9)})  # type: ignore[union-attr]
    assert found["strong"].shape == found["image"].shape == (1, 4, 4, 2)
