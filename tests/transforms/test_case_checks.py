from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor

from fewlabel.transforms import CheckCased


def case(image: torch.Tensor | None = None, label: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
    image = torch.rand(1, 4, 4, 2) if image is None else image
    found = {"image": MetaTensor(image, meta={"filename_or_obj": "scan.nii.gz"})}
    return found if label is None else {**found, "label": MetaTensor(label, meta={"filename_or_obj": "mask.nii.gz"})}


def test_a_sound_case_comes_back_as_it_was() -> None:
    given = case(label=torch.randint(0, 4, (1, 4, 4, 2)).float())
    assert all(CheckCased(4)(given)[key] is given[key] for key in given)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_voxel_that_is_no_number_is_refused_by_name(value: float) -> None:
    image = torch.rand(1, 4, 4, 2)
    image[0, 1, 2, 1] = value
    with pytest.raises(ValueError, match=r"scan\.nii\.gz: 1 of 32 voxels are NaN or infinite; replace them"):
        CheckCased()(case(image))


@pytest.mark.parametrize("value", [4.0, -1.0, 1.5, 255.0, float("nan")])
def test_a_label_value_that_is_no_class_is_refused_by_name(value: float) -> None:
    label = torch.zeros(1, 4, 4, 2)
    label[0, 0, 0, 0] = value
    with pytest.raises(
        ValueError, match=r"mask\.nii\.gz: label values \[.*\] are not among the 4 classes 0 to 3; mend"
    ):
        CheckCased(4)(case(label=label))


def test_without_a_number_of_classes_label_values_are_not_looked_at() -> None:
    assert set(CheckCased()(case(label=torch.full((1, 4, 4, 2), 9.0)))) == {"image", "label"}


def test_a_label_of_another_shape_is_refused_by_name() -> None:
    with pytest.raises(
        ValueError, match=r"mask\.nii\.gz: the label's shape \(4, 4, 3\) differs .*\(4, 4, 2\); resample"
    ):
        CheckCased()(case(label=torch.zeros(1, 4, 4, 3)))


def test_a_tensor_without_a_file_is_called_a_volume() -> None:
    with pytest.raises(ValueError, match=r"^volume: 8 of 8 voxels are NaN"):
        CheckCased()({"image": torch.full((1, 2, 2, 2), float("nan"))})
