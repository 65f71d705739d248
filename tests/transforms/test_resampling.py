from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor

from fewlabel.transforms import Resampled
from fewlabel.transforms.resampling import resampled_shape


def scan(shape: tuple[int, ...] = (8, 6, 4), spacing: tuple[float, ...] = (1.0, 2.0, 3.0)) -> MetaTensor:
    affine = torch.diag(torch.tensor([*spacing, 1.0], dtype=torch.float64))
    return MetaTensor(torch.rand(1, *shape, generator=torch.Generator().manual_seed(0)), affine=affine)


def test_an_image_at_half_the_resolution_is_the_mean_of_its_voxels() -> None:
    image = scan(spacing=(1, 1, 1))
    found = Resampled((2, 2, 2))({"image": image})["image"]
    blocks = image.as_subclass(torch.Tensor)[0].reshape(4, 2, 3, 2, 2, 2)
    torch.testing.assert_close(found.as_subclass(torch.Tensor)[0], blocks.mean(dim=(1, 3, 5)))


def test_a_label_keeps_its_values_and_stays_on_its_image() -> None:
    image = scan(shape=(9, 9, 9), spacing=(1, 1, 1))
    image.zero_()[:, 3:7, 2:5, 4:8] = 1
    case = Resampled((0.5, 0.7, 1.3))({"image": image, "label": image.clone(), "case": "a"})
    assert set(case["label"].unique().tolist()) <= {0.0, 1.0}
    assert ((case["image"] > 0.5) != (case["label"] > 0.5)).float().mean() < 0.02
    assert case["case"] == "a"


def test_the_field_of_view_and_the_spacing_are_what_was_asked_for() -> None:
    found = Resampled((2, 2, 2))({"image": scan()})["image"]
    assert tuple(found.shape) == (1, 4, 6, 6)
    assert found.affine.diag()[:3].tolist() == pytest.approx([2, 2, 2])


def test_without_a_spacing_nothing_is_touched() -> None:
    image = scan()
    assert Resampled(None)({"image": image})["image"] is image


def test_a_missing_label_is_passed_over() -> None:
    assert set(Resampled((1, 1, 1))({"image": scan()})) == {"image"}


@pytest.mark.parametrize("spacing", [(1, 1), (1, 1, 0), (1, -1, 1), (1, 1, float("inf"))])
def test_a_spacing_that_is_none_is_refused(spacing: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="three numbers of millimeters"):
        Resampled(spacing)


def test_a_volume_that_does_not_know_its_spacing_is_refused() -> None:
    with pytest.raises(ValueError, match="has no affine"):
        Resampled((1, 1, 1))({"image": torch.zeros(1, 4, 4, 4)})


@pytest.mark.parametrize("noise", [-1e-7, 0.0, 1e-7])
def test_the_digits_that_a_format_keeps_of_a_spacing_do_not_decide_the_grid(noise: float) -> None:
    """25 voxels of half the spacing asked for are twelve and a half; DICOM and NIfTI must agree on which way."""
    assert resampled_shape(scan((25, 2, 2), (1 + noise, 1.0, 1.0)), (2.0, 1.0, 1.0)) == (12, 2, 2)
