from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from fewlabel.transforms import Strengths
from fewlabel.transforms.strong.intensities import change_intensities, spread_of

NOTHING: dict[str, Any] = {"noise": 0.0, "gamma": (1, 1), "factor": (1, 1), "sharpness_prob": 0.0, "tone_prob": 1.0}
SPACING = (1.0, 1.0)


def image(channels: int = 1, side: int = 32) -> torch.Tensor:
    return torch.rand(channels, side, side, generator=torch.Generator().manual_seed(0))


def change(given: torch.Tensor, seed: int = 0, spacing: tuple[float, ...] = SPACING, **strengths: Any) -> torch.Tensor:
    return change_intensities(given, np.random.RandomState(seed), Strengths(**{**NOTHING, **strengths}), spacing)


def test_strengths_of_one_change_nothing_and_the_image_is_left_alone() -> None:
    given = image()
    torch.testing.assert_close(change(given), given)
    change(given, noise=0.5, factor=(2, 2), gamma=(2, 2), sharpness_prob=1.0)
    assert torch.equal(given, image())


@pytest.mark.parametrize("seed", range(12))
def test_standardized_images_change_as_those_from_zero_to_one_do(seed: int) -> None:
    given = image(2)
    standardized = (given - 0.37) / 0.21
    strengths = {"noise": 0.06, "gamma": (0.6, 1.6), "factor": (0.7, 1.3), "sharpness_prob": 0.5, "tone_prob": 0.5}
    expected = (change(given, seed, **strengths) - 0.37) / 0.21
    torch.testing.assert_close(change(standardized, seed, **strengths), expected, atol=1e-4, rtol=1e-4)


def test_a_factor_is_about_the_minimum_or_about_the_mean() -> None:
    given = image()
    found = [change(given, seed, factor=(1.3, 1.3)) for seed in range(30)]
    brighter = given.min() + 1.3 * (given - given.min())
    steeper = given.mean() + 1.3 * (given - given.mean())
    is_brighter = [torch.allclose(one, brighter, atol=1e-5) for one in found]
    is_steeper = [torch.allclose(one, steeper, atol=1e-5) for one in found]
    assert all(one != other for one, other in zip(is_brighter, is_steeper, strict=True))
    assert 5 < sum(is_brighter) < 25


def test_gamma_keeps_minimum_and_maximum_and_bends_between_them() -> None:
    given = torch.tensor([[[-2.0, 0.0, 2.0, 1.0]]])  # a spread of 4
    torch.testing.assert_close(change(given, gamma=(2, 2)), torch.tensor([[[-2.0, -1.0, 2.0, 0.25]]]))


def test_noise_has_the_deviation_that_was_drawn_evenly() -> None:
    given = torch.linspace(0, 4, 4096).view(1, 64, 64)
    deviations = np.array([float((change(given, seed, noise=0.06) - given).std()) for seed in range(200)]) / 4
    assert 0.058 < deviations.max() < 0.063
    assert abs(deviations.mean() - 0.03) < 0.005


def test_an_outlier_does_not_widen_the_spread() -> None:
    given = torch.zeros(1, 100, 100)
    given[0, :50] = 1.0
    narrow = float(spread_of(given))
    given[0, 0, 0] = 1000.0
    assert narrow == 1.0
    assert float(spread_of(given)) < 100  # six deviations, of 10


def test_a_constant_image_stays_as_it_is_and_finite() -> None:
    given = torch.full((1, 8, 8), -3.0)
    found = change(given, noise=0.1, gamma=(0.5, 0.5), factor=(0.7, 0.7), sharpness_prob=1.0)
    torch.testing.assert_close(found, given)


def test_blur_and_lost_resolution_take_the_finest_detail_and_leave_the_mean() -> None:
    given = (torch.arange(64) % 2).float().view(1, 1, 64).expand(1, 64, 64).contiguous()
    for strengths in ({"blur": (1.2, 1.2), "resolution": (1, 1)}, {"blur": (1e-3, 1e-3), "resolution": (0.5, 0.5)}):
        found = change(given, **{"sharpness_prob": 1.0, **strengths})
        assert found[..., 8:-8].std() < 0.01
        assert abs(found.mean() - 0.5) < 0.01


def test_thick_slices_are_blurred_less_across_and_keep_their_resolution() -> None:
    given = torch.rand(1, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    along_x, along_z = given.clone(), given.clone()
    strengths: dict[str, Any] = {"sharpness_prob": 1.0, "blur": (1e-3, 1e-3), "resolution": (0.5, 0.5)}
    found = change(given, spacing=(1.0, 1.0, 5.0), **strengths)
    # without a mixture along z each of its layers can be had alone
    alone = change(along_z[..., 3:4], spacing=(1.0, 1.0, 5.0), **strengths)
    torch.testing.assert_close(found[..., 3:4], alone)
    strengths |= {"blur": (1.0, 1.0), "resolution": (1, 1)}
    impulse = torch.zeros(1, 15, 15, 15)
    impulse[0, 7, 7, 7] = 1.0
    blurred = change(impulse, spacing=(1.0, 1.0, 5.0), **strengths)[0]
    assert blurred[7, 8, 7] / blurred[7, 7, 7] == pytest.approx(np.exp(-0.5), rel=1e-4)
    assert blurred[7, 7, 8] / blurred[7, 7, 7] == pytest.approx(np.exp(-12.5), rel=1e-3)
    assert torch.equal(along_x, given)


def test_each_change_is_drawn_with_its_probability() -> None:
    given = image()
    for name, strengths in {
        "gamma": {"gamma": (1.5, 1.5)},
        "noise": {"noise": 0.06},
        "factor": {"factor": (1.3, 1.3)},
    }.items():
        changed = [not torch.allclose(change(given, s, tone_prob=0.3, **strengths), given) for s in range(400)]
        assert abs(np.mean(changed) - 0.3) < 0.1, name
    blurred = [
        not torch.allclose(change(given, s, sharpness_prob=0.2, resolution=(1, 1)), given, atol=1e-4)
        for s in range(400)
    ]
    assert abs(np.mean(blurred) - 0.2) < 0.08
