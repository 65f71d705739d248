from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
import torch
from monai.data import MetaTensor
from monai.transforms import LoadImaged

from fewlabel.conventions.labels import IGNORED
from fewlabel.transforms import LoadCased

AFFINE = np.array([[1.5, 0, 0, -20], [0, 1.25, 0, 7], [0, 0, 8, 3], [0, 0, 0, 1]])


def nifti(path: Path, array: np.ndarray) -> str:
    nib.save(nib.Nifti1Image(array, AFFINE), path)
    return str(path)


@pytest.fixture
def image(tmp_path: Path) -> str:
    return nifti(tmp_path / "scan.nii.gz", np.random.default_rng(0).normal(size=(6, 5, 3)).astype(np.float32))


def test_image_and_label_come_channel_first_with_their_geometry(tmp_path: Path, image: str) -> None:
    label = np.arange(90).reshape(6, 5, 3) % 4
    case = LoadCased(4)({"image": image, "label": nifti(tmp_path / "mask.nii.gz", label.astype(np.uint8)), "case": "a"})
    assert case["case"] == "a"
    assert case["image"].shape == case["label"].shape == (1, 6, 5, 3)
    assert np.array_equal(case["label"][0].numpy(), label)
    assert np.array_equal(case["image"][0].numpy(), nib.load(image).get_fdata(dtype=np.float32))
    assert np.allclose(case["image"].affine.numpy(), AFFINE)


def test_a_case_without_a_label_stays_without(image: str) -> None:
    assert set(LoadCased(4)({"image": image})) == {"image"}


def test_without_a_label_key_a_label_is_neither_loaded_nor_looked_at(image: str) -> None:
    assert LoadCased(label_key=None)({"image": image, "label": "a host's own"})["label"] == "a host's own"


def test_hosts_that_look_for_monais_loader_find_it_and_its_metadata(image: str) -> None:
    load = LoadCased(label_key=None)
    assert isinstance(load, LoadImaged)
    assert load.keys == ("image",)
    load._loader.image_only = False  # as MONAI Label sets it
    case = load({"image": image})
    assert isinstance(case["image"], MetaTensor)
    assert case["image_meta_dict"]["filename_or_obj"] == image


@pytest.mark.parametrize("key", ["image", "label"])
@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".mha"])
def test_a_truncated_file_is_named_whatever_its_format(tmp_path: Path, image: str, ending: str, key: str) -> None:
    whole, half = tmp_path / f"whole{ending}", tmp_path / f"half{ending}"
    noise = np.random.default_rng(1).integers(0, 2**15, (16, 16, 16)).astype(np.int16)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(noise), str(whole))
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(ValueError, match=rf"half{ending} is truncated or corrupt: copy it again"):
        LoadCased()({"image": image, key: str(half)})


def test_a_file_that_is_no_image_is_named(tmp_path: Path) -> None:
    file = tmp_path / "notes.nii.gz"
    file.write_bytes(gzip.compress(b"not an image"))
    with pytest.raises(ValueError, match=r"notes\.nii\.gz is truncated or corrupt"):
        LoadCased()({"image": str(file)})


def test_a_missing_file_stays_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.nii\.gz"):
        LoadCased()({"image": str(tmp_path / "gone.nii.gz")})


def test_a_time_series_is_refused_by_name(tmp_path: Path) -> None:
    file = nifti(tmp_path / "cine.nii.gz", np.zeros((6, 5, 3, 2), np.float32))
    with pytest.raises(ValueError, match=r"cine\.nii\.gz: expected a volume of one channel, found .*save each"):
        LoadCased()({"image": file})


def test_what_the_checks_refuse_is_refused_by_name(tmp_path: Path, image: str) -> None:
    label = nifti(tmp_path / "mask.nii.gz", np.full((6, 5, 3), 4, np.uint8))
    with pytest.raises(ValueError, match=r"mask\.nii\.gz: label values \[4\.0\] are not among the 4 classes"):
        LoadCased(4)({"image": image, "label": label})
    assert torch.all(LoadCased(5)({"image": image, "label": label})["label"] == 4)


@pytest.fixture
def channels(tmp_path: Path) -> list[str]:
    array = np.random.default_rng(1).normal(size=(6, 5, 3, 2)).astype(np.float32)
    nifti(tmp_path / "whole.nii.gz", array)
    return [nifti(tmp_path / f"scan_000{number}.nii.gz", array[..., number]) for number in (0, 1)]


def test_channels_are_the_same_from_a_list_of_files_and_from_the_fourth_axis(channels: list[str]) -> None:
    load = LoadCased(in_channels=2)
    one, several = load({"image": str(Path(channels[0]).with_name("whole.nii.gz"))}), load({"image": channels})
    assert several["image"].shape == (2, 6, 5, 3)
    assert torch.equal(one["image"].as_tensor(), several["image"].as_tensor())
    assert np.allclose(several["image"].affine.numpy(), AFFINE)
    assert np.array_equal(several["image"][1].numpy(), nib.load(channels[1]).get_fdata(dtype=np.float32))
    assert several["image"].meta["filename_or_obj"] == channels[0]


def test_a_host_gets_the_metadata_of_the_first_channel(channels: list[str]) -> None:
    load = LoadCased(label_key=None, in_channels=2)
    load._loader.image_only = False
    case = load({"image": channels})
    assert case["image"].shape == (2, 6, 5, 3)
    assert case["image_meta_dict"]["filename_or_obj"] == channels[0]


def test_channels_may_differ_in_format(tmp_path: Path, channels: list[str]) -> None:
    SimpleITK.WriteImage(SimpleITK.ReadImage(channels[1]), str(tmp_path / "scan_0001.nrrd"))
    mixed = LoadCased(in_channels=2)({"image": [channels[0], str(tmp_path / "scan_0001.nrrd")]})
    assert torch.equal(mixed["image"].as_tensor(), LoadCased(in_channels=2)({"image": channels})["image"].as_tensor())


@pytest.mark.parametrize(("number", "expected"), [(1, "one channel"), (3, "3 channels")])
def test_another_number_of_channels_is_refused(channels: list[str], number: int, expected: str) -> None:
    with pytest.raises(ValueError, match=rf"expected a volume of {expected}, found \(2, 6, 5, 3\)"):
        LoadCased(in_channels=number)({"image": channels})


def test_channels_on_two_grids_are_refused(tmp_path: Path, channels: list[str]) -> None:
    nib.save(nib.Nifti1Image(np.ones((6, 5, 3), np.float32), AFFINE * 1.1), tmp_path / "other_0001.nii.gz")
    with pytest.raises(ValueError, match=r"other_0001\.nii\.gz lies on another grid than .*scan_0000\.nii\.gz"):
        LoadCased(in_channels=2)({"image": [channels[0], str(tmp_path / "other_0001.nii.gz")]})


def test_ignored_voxels_have_a_value_of_their_own(tmp_path: Path, image: str) -> None:
    label = np.arange(90).reshape(6, 5, 3) % 4
    case = {"image": image, "label": nifti(tmp_path / "mask.nii.gz", label.astype(np.uint8))}
    loaded = LoadCased(3, ignored=3)(case)["label"]
    assert np.array_equal(loaded[0].numpy(), np.where(label == 3, IGNORED, label))
    with pytest.raises(ValueError, match=r"label values \[3\.0\] are not among the 3 classes"):
        LoadCased(3)(case)


def test_the_value_of_ignored_voxels_means_nothing_in_a_file(tmp_path: Path, image: str) -> None:
    label = nifti(tmp_path / "mask.nii.gz", np.full((6, 5, 3), IGNORED, np.int16))
    with pytest.raises(ValueError, match=r"label values \[-1\.0\] are not among the 3 classes"):
        LoadCased(3, ignored=3)({"image": image, "label": label})
