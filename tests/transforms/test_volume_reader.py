from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch

from fewlabel.data.checks.dataset import check
from fewlabel.data.cohort import Cohort
from fewlabel.data.files.volumes import read_channels, read_header
from fewlabel.transforms import LoadCased

SHAPES = [shape for n in range(1, 6) for shape in itertools.product((1, 2, 3), repeat=n)]


def voxels(shape: tuple[int, ...]) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.int16).reshape(shape)


def both(file: Path) -> tuple[Any, Any]:
    """What the check reads of a file, and what training reads; None where it refuses."""
    checked = read_or_none(lambda: np.stack(read_channels(file)), file)
    channels = 1 if checked is None else len(checked)
    return checked, read_or_none(lambda: LoadCased(in_channels=channels)({"image": str(file)})["image"], file)


def read_or_none(read: Callable[[], Any], file: Path) -> Any:
    try:
        return read()
    except ValueError as error:
        message = str(error)
    assert str(file) in message
    return None


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_check_and_training_read_the_same_of_every_shape(n: int, tmp_path: Path) -> None:
    affine = np.array([[-1.5, 0, 0, 9], [0, 1.25, 0, 7], [0, 0, 8, 3], [0, 0, 0, 1]])
    read = 0
    for shape in (shape for shape in SHAPES if len(shape) == n):
        file = tmp_path / f"{'_'.join(map(str, shape))}.nii"
        nib.save(nib.Nifti1Image(voxels(shape), affine), file)
        checked, trained = both(file)
        assert (checked is None) == (trained is None), shape
        if checked is None:
            continue
        read += 1
        assert np.array_equal(checked, trained.as_tensor().numpy()), shape
        header = read_header(file)
        assert trained.shape == (header.channels, *header.shape), shape
        assert np.allclose(trained.affine, header.affine), shape
        assert tuple(trained.meta["spatial_shape"]) == header.shape, shape
    # volumes of fewer axes, and of more where these are of length one; a fourth may hold channels
    assert read == {1: 0, 2: 9, 3: 27, 4: 81, 5: 81}[n]


@pytest.mark.parametrize(
    ("shape", "volume"),
    [
        ((6, 5), (6, 5, 1)),
        ((6, 5, 4, 1, 1), (6, 5, 4)),
        ((6, 5, 1, 1, 1), (6, 5, 1)),
        ((6, 5, 4, 1, 1, 1, 1), (6, 5, 4)),
    ],
)
def test_what_is_ready_to_train_trains(shape: tuple[int, ...], volume: tuple[int, ...], tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        for half in ("images", "labels"):
            array = np.random.default_rng(ord(name)).integers(0, 2 if half == "labels" else 99, shape).astype(np.uint8)
            (tmp_path / f"{half}Tr").mkdir(exist_ok=True)
            nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / f"{half}Tr" / f"{name}.nii.gz")
    (tmp_path / "dataset.json").write_text('{"labels": {"background": 0, "liver": 1}}')
    assert check(tmp_path).ok
    cohort = Cohort(tmp_path)
    for item in (*cohort.labeled, *cohort.validation):
        case = LoadCased(num_classes=2)(item)
        assert case["image"].shape == case["label"].shape == (1, *volume)


@pytest.mark.parametrize("shape", [(6, 5, 4, 2), (6, 5, 4, 1, 2)])
def test_a_label_map_of_several_maps_is_refused_by_both(shape: tuple[int, ...], tmp_path: Path) -> None:
    for folder, array in (("imagesTr", voxels((6, 5, 4))), ("labelsTr", np.zeros(shape, np.uint8))):
        (tmp_path / folder).mkdir()
        nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / folder / "a.nii.gz")
    (tmp_path / "dataset.json").write_text('{"labels": {"background": 0, "liver": 1}}')
    assert not check(tmp_path).ok
    item = {"image": str(tmp_path / "imagesTr/a.nii.gz"), "label": str(tmp_path / "labelsTr/a.nii.gz")}
    with pytest.raises(ValueError, match=r"labelsTr/a\.nii\.gz"):
        LoadCased(num_classes=2)(item)


@pytest.mark.parametrize("ending", [".nrrd", ".mha"])
def test_a_fourth_axis_of_one_in_another_format_is_dropped_too(ending: str, tmp_path: Path) -> None:
    sitk = pytest.importorskip("SimpleITK")
    array = voxels((1, 4, 5, 6))
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=False), str(tmp_path / f"a{ending}"))
    checked, trained = both(tmp_path / f"a{ending}")
    assert trained.shape == checked.shape == (1, 6, 5, 4)
    assert torch.equal(trained.as_tensor()[0], torch.as_tensor(array[0].T.copy()).float())
