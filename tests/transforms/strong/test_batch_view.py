from __future__ import annotations

from typing import Any

import pytest
import torch

from fewlabel.transforms import strong_view

NOTHING: dict[str, Any] = {"jitter": 0.0, "blur_prob": 0.0, "noise": 0.0}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=seeded(9))


@pytest.mark.parametrize("shape", [(6, 1, 16, 12), (3, 2, 8, 9, 7)])
def test_views_repeat_with_the_generator_and_differ_between_images(shape: tuple[int, ...]) -> None:
    given = images(1, *shape[1:]).expand(shape)
    view = strong_view(given, seeded())
    assert view.shape == shape
    assert view.dtype == torch.float32
    assert torch.equal(view, strong_view(given, seeded()))
    assert len({float(one.sum()) for one in view}) == len(given)
    torch.manual_seed(3)
    own = strong_view(given)
    torch.manual_seed(3)
    assert torch.equal(own, strong_view(given))


def test_nothing_drawn_changes_nothing_and_the_batch_is_left_alone() -> None:
    given = images(4, 1, 10, 10)
    torch.testing.assert_close(strong_view(given, **NOTHING), given)
    before = given.clone()
    strong_view(given)
    assert torch.equal(given, before)


def test_no_pixel_moves() -> None:
    given = torch.zeros(30, 1, 21, 21)
    given[:, 0, 6, 14] = 5.0
    view = strong_view(given, seeded(), noise=0.0)
    assert (view.flatten(1).argmax(dim=1) == 6 * 21 + 14).all()


def test_brightness_and_contrast_are_factors_about_minimum_and_mean_with_their_probability() -> None:
    given = images(1, 1, 12, 12).expand(2000, -1, -1, -1)
    view = strong_view(given, seeded(), blur_prob=0.0, noise=0.0)
    slope = (view.std(dim=(1, 2, 3)) / given[0].std()).double()
    # both factors are even in [0.5, 1.5]; their product is the slope, and its mean 1
    changed = (slope - 1).abs() > 1e-5
    assert abs(changed.float().mean() - 0.8) < 0.04
    assert 0.25 <= slope.min() < 0.4
    assert 1.9 < slope.max() <= 2.25
    assert abs(slope[changed].mean() - 1) < 0.05
    brightness = (view.mean(dim=(1, 2, 3)) - given.min()) / (given[0].mean() - given.min())
    assert 0.5 <= brightness.min() < 0.52
    assert 1.48 < brightness.max() <= 1.5 + 1e-4


def test_standardized_images_change_as_those_from_zero_to_one_do() -> None:
    given = images(8, 2, 16, 16)
    expected = (strong_view(given, seeded()) - 0.4) / 0.2
    torch.testing.assert_close(strong_view((given - 0.4) / 0.2, seeded()), expected, atol=1e-4, rtol=1e-4)


def test_half_of_the_images_are_blurred_and_three_in_ten_noisy() -> None:
    given = images(1, 1, 24, 24).expand(600, -1, -1, -1)
    blurred = strong_view(given, seeded(), **{**NOTHING, "blur_prob": 0.5, "blur": (1.0, 2.0)})
    assert abs(((blurred - given).abs().amax((1, 2, 3)) > 0.1).float().mean() - 0.5) < 0.09
    noisy = strong_view(given, seeded(), **{**NOTHING, "noise": 0.06})
    deviation = (noisy - given).std(dim=(1, 2, 3))
    assert abs((deviation > 0).float().mean() - 0.3) < 0.08
    assert 0.05 < deviation.max() < 0.07


def test_autocast_does_not_round_a_view() -> None:
    given = images(4, 1, 16, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        view = strong_view(given, seeded())
    assert torch.equal(view, strong_view(given, seeded()))
