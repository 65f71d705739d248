from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import NormalizeIntensity, ScaleIntensity

from fewlabel.transforms import ScaleIntensitiesd

SCAN = torch.randn(1, 20, 18, 9, generator=torch.manual_seed(0)) * 300 + 40


def scaled(image: torch.Tensor, mode: str, **limits: float) -> torch.Tensor:
    return ScaleIntensitiesd({"mode": mode, "low": None, "high": None, **limits})({"image": image})["image"]


def test_the_defaults_of_the_papers_are_monais_to_the_last_bit() -> None:
    assert torch.equal(scaled(SCAN, "minmax"), ScaleIntensity()(SCAN))
    assert torch.equal(scaled(SCAN, "zscore"), NormalizeIntensity()(SCAN))


def test_a_window_means_the_same_whatever_else_is_in_the_scan() -> None:
    padded = torch.cat([SCAN, torch.full((1, 20, 18, 1), -2000.0), torch.full((1, 20, 18, 1), 3000.0)], dim=-1)
    found = scaled(padded, "window", low=-160, high=240)
    torch.testing.assert_close(found[..., :9], ((SCAN + 160) / 400).clamp(0, 1))
    assert found[..., 9].unique().tolist() == [0.0]
    assert found[..., 10].unique().tolist() == [1.0]


def test_percentiles_are_those_of_the_volume() -> None:
    low, high = np.percentile(SCAN.numpy(), [10, 80])
    expected = ((SCAN - low) / (high - low)).clamp(0, 1)
    torch.testing.assert_close(scaled(SCAN, "percentile", low=10, high=80), expected.float(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("mode", ["minmax", "zscore", "percentile"])
def test_a_reoriented_scan_has_the_same_values_to_the_last_bit(mode: str) -> None:
    scan = MetaTensor(torch.from_numpy(np.asfortranarray(SCAN[0].numpy()))[None], affine=np.eye(4))
    turned = np.asfortranarray(np.flip(scan[0].numpy(), (0, 2)).transpose(2, 0, 1))
    affine = np.array([[0, -1, 0, 19], [0, 0, 1, 0], [-1, 0, 0, 8], [0, 0, 0, 1]], dtype=float)
    found = scaled(MetaTensor(torch.from_numpy(turned)[None], affine=affine), mode)
    assert torch.equal(found.as_tensor(), scaled(scan, mode).as_tensor().flip(1, 3).permute(0, 3, 1, 2))


def test_a_constant_scan_gives_numbers() -> None:
    for mode in ("minmax", "zscore"):
        assert torch.isfinite(scaled(torch.full((1, 4, 4, 4), 7.0), mode)).all()


def test_hounsfield_units_scaled_by_their_own_range_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    scan = MetaTensor(torch.tensor([[[[-2000.0, 40.0, 3000.0]]]]), meta={"filename_or_obj": "ct.nii.gz"})
    with caplog.at_level(logging.WARNING):
        scaled(scan, "window", low=-160, high=240)
        scaled(SCAN.abs(), "minmax")
        assert not caplog.records
        scaled(scan, "minmax")
    assert "ct.nii.gz: looks like Hounsfield units and is scaled by its own minimum and maximum" in caplog.text


@pytest.mark.parametrize(
    ("intensity", "message"),
    [
        ("minmax", "intensity must be {"),
        ({"mode": "window", "width": 400}, "intensity must be {"),
        ({"mode": "log"}, "must be one of minmax, zscore, window, percentile, got 'log'"),
        ({"mode": "minmax", "low": 0, "high": 1}, '"minmax" has no low and high'),
        ({"mode": "window"}, '"window" needs low and high, low below high'),
        ({"mode": "window", "low": -160}, '"window" needs low and high'),
        ({"mode": "window", "low": 240, "high": -160}, "low below high"),
        ({"mode": "window", "low": "soft", "high": 240}, "low of intensity must be a number, got 'soft'"),
        ({"mode": "percentile", "low": -1, "high": 99}, "percentiles are between 0 and 100"),
    ],
)
def test_a_choice_that_means_nothing_is_refused(intensity: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ScaleIntensitiesd(intensity)


@pytest.mark.parametrize(
    "intensity",
    [{"mode": "minmax"}, {"mode": "zscore"}, {"mode": "percentile"}, {"mode": "window", "low": 0, "high": 100}],
)
def test_each_channel_is_scaled_by_itself(intensity: dict[str, Any]) -> None:
    generator = torch.Generator().manual_seed(0)
    channels = [torch.rand(1, 5, 4, 3, generator=generator) * scale for scale in (1.0, 1000.0)]
    affine = torch.diag(torch.tensor([-1.0, 2.0, 3.0, 1.0]))
    scale = ScaleIntensitiesd(intensity)
    both = scale({"image": MetaTensor(torch.cat(channels), affine=affine)})["image"]
    alone = [scale({"image": MetaTensor(channel, affine=affine)})["image"] for channel in channels]
    assert torch.equal(both.as_tensor(), torch.cat([channel.as_tensor() for channel in alone]))
    assert torch.equal(both.affine.float(), affine)
