from __future__ import annotations

import pytest
import torch

from fewlabel.mixing import Mixture, copy_paste, cut_mix, mix_up

SHAPES = [(12, 9), (6, 8, 5)]
BOXES = {"copy_paste": copy_paste, "cut_mix": cut_mix}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pair(spatial: tuple[int, ...], channels: int = 2, count: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    drawn = torch.rand(2, count, channels, *spatial, generator=generator(1))
    return drawn[0], drawn[1]


@pytest.mark.parametrize("spatial", SHAPES)
@pytest.mark.parametrize("kind", BOXES)
@pytest.mark.parametrize("seed", range(3))
def test_boxes_are_undone_exactly(kind: str, spatial: tuple[int, ...], seed: int) -> None:
    mixture = BOXES[kind](3, spatial, generator=generator(seed))
    first, second = pair(spatial)
    mixed, other = mixture.images(first, second)
    assert not torch.equal(mixed, first)
    one, two = mixture.undo(mixed, other)
    assert torch.equal(one, first)
    assert torch.equal(two, second)


@pytest.mark.parametrize("spatial", SHAPES)
@pytest.mark.parametrize("kind", BOXES)
def test_each_voxel_comes_with_its_own_label_and_weight(kind: str, spatial: tuple[int, ...]) -> None:
    mixture = BOXES[kind](3, spatial, generator=generator())
    first, second = pair(spatial, channels=1)
    labels = [(10 * value).long() for value in (first, second)]
    for image, label, weight in zip(
        mixture.images(first, second), mixture.labels(*labels), mixture.weights(1.0, 0.5), strict=True
    ):
        assert torch.equal((10 * image).long(), label)
        from_first = torch.isin(image, first)
        assert set(weight.unique().tolist()) == {0.5, 1.0}
        assert torch.equal(weight == 1.0, from_first)


def test_copy_paste_pastes_one_box_of_two_thirds_of_each_side() -> None:
    mask = copy_paste(2, (12, 9), generator=generator()).mask
    assert torch.equal(mask[0], mask[1])
    rows, columns = (~mask[0, 0]).nonzero(as_tuple=True)
    assert (int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1) == (8, 6)
    assert int((~mask[0]).sum()) == 8 * 6


def test_every_place_of_the_box_is_equally_likely() -> None:
    starts = [
        int((~copy_paste(1, (6, 1), generator=generator(seed)).mask[0, 0, :, 0]).nonzero()[0]) for seed in range(600)
    ]
    counts = torch.bincount(torch.tensor(starts), minlength=3)
    # three places, 200 each, standard deviation sqrt(600 * 2/9) = 11.5: four of them
    assert len(counts) == 3
    assert all(abs(int(count) - 200) < 46 for count in counts)


def test_the_boxes_of_cut_mix_keep_to_the_limits_of_their_area() -> None:
    mask = cut_mix(400, (100, 100), area=(0.1, 0.3), ratio=(0.5, 2.0), generator=generator()).mask
    area = (~mask).float().mean(dim=(1, 2, 3))
    assert float(area.min()) > 0.09
    assert float(area.max()) < 0.31
    assert float(area.max() - area.min()) > 0.15


def test_cut_mix_leaves_the_share_of_images_alone_that_its_probability_says() -> None:
    mask = cut_mix(600, (8, 8), prob=0.25, generator=generator()).mask
    mixed = (~mask).flatten(1).any(dim=1).float().mean()
    # standard deviation sqrt(0.25 * 0.75 / 600) = 0.018: four of them
    assert float(mixed) == pytest.approx(0.25, abs=0.071)


def test_mix_up_blends_with_the_larger_part_from_the_first_image_and_is_undone() -> None:
    mixture = mix_up(64, (4, 4), generator=generator())
    first = torch.rand(64, 1, 4, 4, dtype=torch.float64, generator=generator(1))
    second = torch.rand(64, 1, 4, 4, dtype=torch.float64, generator=generator(2))
    fraction = mixture.mask[:, 0, 0, 0].double()
    assert float(fraction.min()) >= 0.5
    mixed, other = mixture.images(first, second)
    for index in range(64):
        share = float(fraction[index])
        assert torch.allclose(mixed[index], share * first[index] + (1 - share) * second[index])
    far = (fraction > 0.51).nonzero()[:, 0]
    one, two = mixture.undo(mixed, other)
    assert torch.allclose(one[far], first[far])
    assert torch.allclose(two[far], second[far])


def test_mix_up_draws_from_the_beta_distribution() -> None:
    fraction = mix_up(4000, (1, 1), alpha=0.75, generator=generator()).mask.flatten().double()
    # of X ~ Beta(a, a), max(X, 1 - X) has the second moment E[(X - 1/2)^2] = 1 / (4 (2 a + 1)) around one half
    assert float(((fraction - 0.5) ** 2).mean()) == pytest.approx(1 / (4 * 2.5), rel=0.05)


def test_small_alphas_blend_almost_nothing() -> None:
    fraction = mix_up(2000, (1, 1), alpha=0.01, generator=generator()).mask.flatten()
    assert float((fraction > 0.99).float().mean()) > 0.9


@pytest.mark.parametrize("draw", [copy_paste, cut_mix, mix_up])
def test_no_image_gives_an_empty_mixture(draw) -> None:
    mixture = draw(0, (4, 6), generator=generator())
    nothing = torch.zeros(0, 1, 4, 6)
    assert [part.shape for part in mixture.images(nothing, nothing)] == [(0, 1, 4, 6)] * 2


def test_the_same_generator_draws_the_same_mixture() -> None:
    for draw in (copy_paste, cut_mix, mix_up):
        assert torch.equal(draw(2, (8, 8), generator=generator(5)).mask, draw(2, (8, 8), generator=generator(5)).mask)


def test_labels_of_blended_images_are_refused() -> None:
    labels = torch.zeros(1, 1, 4, 4, dtype=torch.long)
    with pytest.raises(ValueError, match="labels of blended images have no mixture"):
        mix_up(1, (4, 4), generator=generator()).labels(labels, labels)


def test_half_and_half_cannot_be_undone() -> None:
    image = torch.zeros(1, 1, 2, 2)
    with pytest.raises(ValueError, match="half and half"):
        Mixture(torch.full((1, 1, 2, 2), 0.5)).undo(image, image)


def test_batches_of_another_shape_are_named() -> None:
    mixture = copy_paste(2, (4, 4), generator=generator())
    good, bad = torch.zeros(2, 1, 4, 4), torch.zeros(3, 1, 4, 4)
    with pytest.raises(ValueError, match=r"the second batch has the shape \(3, 1, 4, 4\).*2 images of \(4, 4\)"):
        mixture.images(good, bad)


@pytest.mark.parametrize(
    ("draw", "settings", "message"),
    [
        (copy_paste, {"fraction": 0.0}, r"fraction must be in \(0, 1\], got 0.0"),
        (cut_mix, {"prob": 1.5}, r"prob must be in \[0, 1\], got 1.5"),
        (cut_mix, {"area": (0.5, 0.2)}, r"area must be two fractions in \(0, 1\]"),
        (cut_mix, {"ratio": (0.0, 1.0)}, "ratio must be two positive numbers"),
        (mix_up, {"alpha": 0.0}, "alpha must be 0.01 or more, got 0.0"),
    ],
)
def test_settings_out_of_range_are_errors(draw, settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw(1, (4, 4), **settings)
