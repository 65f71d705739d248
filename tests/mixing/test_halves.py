from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fewlabel.mixing import check_mixing, mix_halves

SHAPES = [(12, 9), (6, 8, 5)]
HALVES = [(2, 2), (1, 3), (3, 1)]


def numbered(labeled: int, unlabeled: int, spatial: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Images whose every voxel is unique: the labeled ones positive, the unlabeled ones negative."""
    size = torch.Size(spatial).numel()
    first = 1 + torch.arange(labeled * size).view(labeled, 1, *spatial).float()
    return first, -1 - torch.arange(unlabeled * size).view(unlabeled, 1, *spatial).float()


@pytest.mark.parametrize("kind", ["copy_paste", "cut_mix"])
@pytest.mark.parametrize("spatial", SHAPES)
@pytest.mark.parametrize(("labeled", "unlabeled"), HALVES)
def test_each_voxel_keeps_its_place_its_label_and_its_origin(
    kind: str, spatial: tuple[int, ...], labeled: int, unlabeled: int
) -> None:
    image, others = numbered(labeled, unlabeled, spatial)
    truth, pseudo = image.long() % 7, others.long() % 7
    mixed = mix_halves(kind, image, others, generator=torch.Generator().manual_seed(0))
    size = torch.Size(spatial).numel()
    assert torch.equal(mixed.labeled, mixed.images > 0)
    assert torch.equal(mixed.labels(truth, pseudo), mixed.images.long() % 7)
    places = (mixed.images.abs().long() - 1) % size
    assert torch.equal(places, torch.arange(size).view(1, 1, *spatial).expand_as(places))


@pytest.mark.parametrize(("labeled", "unlabeled"), HALVES)
def test_copy_paste_uses_every_image_in_both_directions(labeled: int, unlabeled: int) -> None:
    image, others = numbered(labeled, unlabeled, (12, 9))
    mixed = mix_halves("copy_paste", image, others, generator=torch.Generator().manual_seed(0))
    count = max(labeled, unlabeled)
    assert len(mixed.images) == 2 * count
    box = mixed.labeled[:count]
    assert box.sum().item() == count * 8 * 6, "two thirds of each side come from the labeled images"
    assert torch.equal(mixed.labeled[count:], ~box)


def test_cut_mix_leaves_labeled_images_whole_and_mixes_each_unlabeled_one_with_the_next() -> None:
    image, others = numbered(2, 3, (12, 9))
    mixed = mix_halves("cut_mix", image, others, generator=torch.Generator().manual_seed(0))
    assert torch.equal(mixed.images[:2], image)
    for number in range(3):
        sources = ((mixed.images[2 + number].abs().long() - 1) // (12 * 9)).unique().tolist()
        assert sources == sorted({number, (number + 1) % 3})
    untouched = mix_halves("cut_mix", image, others, prob=0.0)
    assert torch.equal(untouched.images, torch.cat([image, others]))


def test_a_mixing_that_is_unknown_or_does_not_fit_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"mixing must be one of .*, got 'half'"):
        check_mixing("half")
    with pytest.raises(ValueError, match="mixing 'cut_mix' needs passes \"joint\""):
        check_mixing("cut_mix", "separate")
    with pytest.raises(ValueError, match=r"for a batch that is to be mixed, got 'none'"):
        mix_halves("none", *numbered(1, 1, (4, 4)))
