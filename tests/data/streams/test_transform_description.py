from __future__ import annotations

import functools
import pickle
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.transforms import Compose, Lambdad, LoadImaged, RandFlipd, ScaleIntensityd, ScaleIntensityRanged

from fewlabel.data.streams.transform_description import describe_transforms
from fewlabel.transforms import CheckCased


class Slotted:
    __slots__ = ("level",)

    def __init__(self, level: int) -> None:
        self.level = level


def scale(image: Any, factor: float = 2.0) -> Any:
    return image * factor


def shift(image: Any, factor: float = 2.0) -> Any:
    return image + factor


def scaling(factor: float) -> Any:
    return lambda image: image * factor


def reading(**settings: Any) -> Compose:
    load = LoadImaged(["image", "label"], ensure_channel_first=True, allow_missing_keys=True, **settings)
    return Compose([load, CheckCased(4), ScaleIntensityd("image")])


def test_two_makings_of_the_same_transforms_are_described_alike() -> None:
    assert (
        describe_transforms(reading())
        == describe_transforms(reading())
        == describe_transforms(pickle.loads(pickle.dumps(reading())))
    )


def test_use_does_not_change_a_description(tmp_path: Path) -> None:
    # MONAI's readers keep the name of the file they read last
    transforms = reading()
    before = describe_transforms(transforms)
    nib.save(nib.Nifti1Image(np.ones((4, 3, 2), np.float32), np.eye(4)), tmp_path / "scan.nii.gz")
    transforms({"image": str(tmp_path / "scan.nii.gz")})
    assert describe_transforms(transforms) == before


def test_a_random_state_is_no_part_of_a_description() -> None:
    assert describe_transforms(RandFlipd("image").set_random_state(1)) == describe_transforms(
        RandFlipd("image").set_random_state(2)
    )


def test_what_is_left_out_does_not_count_at_any_depth() -> None:
    one, other = ({"b": [Slotted(level)]} for level in (1, 2))
    assert describe_transforms(one, leave_out=["level"]) == describe_transforms(other, leave_out=["level"])
    assert describe_transforms(one, leave_out=["other"]) != describe_transforms(other, leave_out=["other"])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (CheckCased(4), CheckCased(3)),
        (ScaleIntensityRanged("image", 0, 1, 0, 1), ScaleIntensityRanged("image", 0, 2, 0, 1)),
        (Compose([CheckCased(), ScaleIntensityd("image")]), Compose([ScaleIntensityd("image"), CheckCased()])),
        (reading(), reading(reader="NibabelReader")),
        (Lambdad("image", lambda x: x + 1), Lambdad("image", lambda x: x + 2)),
        (Lambdad("image", lambda x: x + 1), Lambdad("image", lambda x: x - 1)),
        (scaling(2.0), scaling(3.0)),
        (scale, shift),
        (functools.partial(scale, factor=2.0), functools.partial(scale, factor=3.0)),
        (np.zeros(3), np.zeros(4)),
        (np.zeros(1000), np.arange(1000.0)),
        (torch.zeros(3), torch.ones(3)),
        (torch.zeros(3), torch.zeros(3, dtype=torch.int32)),
        (Path("/data/a"), Path("/data/b")),
        (Slotted(1), Slotted(2)),
        (Slotted(1).__init__, Slotted(2).__init__),
        (np.sin, np.cos),
        (1, True),
        (1, "1"),
        ({"a": 1}, {"b": 1}),
    ],
)
def test_any_other_setting_gives_another_description(one: Any, other: Any) -> None:
    assert describe_transforms(one) != describe_transforms(other)
    assert describe_transforms(one) == describe_transforms(one)


def test_the_order_of_sets_and_mappings_does_not_count() -> None:
    words = [f"w{k}" for k in range(50)]
    assert describe_transforms(set(words)) == "{" + ", ".join(sorted(map(repr, words))) + "}"
    assert describe_transforms(dict.fromkeys(words)) == describe_transforms(dict.fromkeys(reversed(words)))


def test_an_object_that_holds_itself_is_described() -> None:
    loop: list[Any] = [1]
    loop.append(loop)
    assert describe_transforms(loop) == "[1, ...]"
