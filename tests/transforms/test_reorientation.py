from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose
from torch import nn

from fewlabel.data import SliceDataset
from fewlabel.inferers import ResizedSliceInferer, WindowInferer
from fewlabel.transforms import LoadCased, Reorientd

CODES = ("RAS", "LPS", "PIR", "SAL", "ASR", "ILP")


def stored_as(image: nib.Nifti1Image, code: str) -> nib.Nifti1Image:
    wanted = nib.orientations.axcodes2ornt(tuple(code))
    return image.as_reoriented(nib.orientations.ornt_transform(nib.io_orientation(image.affine), wanted))


def write(folder: Path, code: str, spacing: tuple[float, float, float] = (1.5, 1.25, 6.0)) -> dict[str, str]:
    voxels = np.random.default_rng(0).random((8, 7, 5)).astype(np.float32)
    item = {}
    for key, array in (("image", voxels), ("label", (voxels > 0.5).astype(np.uint8))):
        item[key] = str(folder / f"{key}_{code}.nii.gz")
        nib.save(stored_as(nib.Nifti1Image(array, np.diag([*spacing, 1.0])), code), item[key])
    return item


@pytest.mark.parametrize(("spacing", "count"), [((1.5, 1.25, 6.0), 5), ((1.5, 6.0, 1.25), 7), ((6.0, 1.5, 1.25), 8)])
def test_training_slices_are_the_same_however_a_scan_is_stored(
    spacing: tuple[float, float, float], count: int, tmp_path: Path
) -> None:
    items = [write(tmp_path, code, spacing) for code in CODES]
    dataset = SliceDataset(items, Compose([LoadCased(2), Reorientd(slice_axis="auto")]))
    assert len(dataset) == len(CODES) * count
    for index in range(len(dataset)):
        for key in ("image", "label"):
            assert torch.equal(dataset[index][key], dataset[index % count][key])
    assert torch.equal(dataset[0]["label"], (dataset[0]["image"] > 0.5).float())


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("slice_axis", [None, "auto", 0, 1])
def test_inference_shows_a_network_what_training_did(slice_axis: Any, code: str, tmp_path: Path) -> None:
    case = LoadCased()(write(tmp_path, code))
    trained = Reorientd(slice_axis=slice_axis)(case)["image"].as_tensor()
    seen: list[torch.Tensor] = []

    def network(part: torch.Tensor) -> torch.Tensor:
        seen.append(part.clone())
        return part

    if slice_axis is None:
        WindowInferer(trained.shape[1:])(case["image"][None], network)
        assert torch.equal(seen[0][0], trained)
    else:
        ResizedSliceInferer(trained.shape[1:3], slice_axis=slice_axis)(case["image"][None], network)
        assert torch.equal(torch.cat(seen), trained.movedim(-1, 0))


def test_the_affine_follows(tmp_path: Path) -> None:
    expected = nib.load(write(tmp_path, "RAS")["image"])
    case = Reorientd()(LoadCased()(write(tmp_path, "SAL")))
    for key in ("image", "label"):
        np.testing.assert_allclose(case[key].affine, expected.affine, atol=1e-5)
    np.testing.assert_array_equal(case["image"][0], expected.dataobj)


def test_a_label_follows_its_image_whatever_its_own_header_says() -> None:
    voxels = torch.rand(1, 4, 5, 6)
    case = {"image": MetaTensor(voxels, affine=np.diag([-1.0, -1.0, 1.0, 1.0])), "label": MetaTensor(voxels)}
    found = Reorientd()(case)
    assert torch.equal(found["label"], voxels.flip(1, 2))
    assert torch.equal(found["label"].as_tensor(), found["image"].as_tensor())


def test_an_unlabeled_case_is_reoriented_too(tmp_path: Path) -> None:
    item = {"image": write(tmp_path, "LPS")["image"]}
    assert set(Reorientd()(LoadCased()(item))) == {"image"}


def test_a_canonical_case_is_passed_on(tmp_path: Path) -> None:
    case = LoadCased()(write(tmp_path, "RAS"))
    assert Reorientd(slice_axis="auto")(case)["image"] is case["image"]


def test_an_image_without_geometry_is_refused() -> None:
    with pytest.raises(ValueError, match="the image has no affine, so its orientation is unknown"):
        Reorientd()({"image": torch.zeros(1, 4, 4, 4)})
    with pytest.raises(ValueError, match='slice_axis must be "auto"'):
        Reorientd(slice_axis=3)


def test_half_of_a_mixed_cohort_is_not_mirrored_in_a_networks_eyes(tmp_path: Path) -> None:
    found = [
        ResizedSliceInferer((8, 7))(LoadCased()(write(tmp_path, code))["image"][None], nn.Identity())
        for code in ("RAS", "LPS")
    ]
    assert torch.equal(found[0], found[1].flip(2, 3))  # on their own grids, as stored
