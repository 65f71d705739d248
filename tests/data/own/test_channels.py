"""Images of several channels: in files of their own, as nnU-Net names them, or along a fourth axis."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from fewlabel.data.checks.dataset import check
from fewlabel.data.cohort import Cohort
from helpers.own_folders import RANDOM, Folders


def test_pictures_of_two_channels_are_one_case(folders: Folders) -> None:
    pictures = {name: folders.picture(f"{name}.png") for name in ("b_0000", "b_0001", "c_0000", "c_0001")}
    folders.drawn("b.png", (0, 1))
    out = folders.prepare()
    assert folders.lines[:2] == ["1 images with a label map: b", "1 images without one, to train as unlabeled: c"]
    for name, picture in pictures.items():
        np.testing.assert_array_equal(folders.stored("images", name)[..., 0], picture.T)
    assert folders.description()["channel_names"] == {"0": "channel 0", "1": "channel 1"}
    assert any(line.startswith("the images have 2 channels, called channel 0, channel 1") for line in folders.lines)
    assert [[item["volume"] for item in part] for part in (Cohort(out).labeled, Cohort(out).unlabeled)] == [
        ["b"],
        ["c"],
    ]
    assert check(out).ok


def test_scans_of_two_channels_in_folders_are_linked_as_one_case(folders: Folders) -> None:
    for channel in range(2):
        (folders.images / "p1").mkdir(exist_ok=True)
        folders.scan(f"p1/v_{channel:04d}.nii.gz")
    (folders.labels / "p1").mkdir()
    folders.mask("p1/v.nii.gz")
    out = folders.prepare()
    assert sorted(path.name for path in (out / "imagesTr").iterdir()) == ["p1_v_0000.nii.gz", "p1_v_0001.nii.gz"]
    assert (out / "imagesTr/p1_v_0001.nii.gz").resolve() == (folders.images / "p1/v_0001.nii.gz").resolve()
    assert check(out).ok


def test_channels_along_a_fourth_axis_are_counted(folders: Folders) -> None:
    voxels = RANDOM.normal(size=(6, 5, 4, 3)).astype(np.float32)
    nib.save(nib.Nifti1Image(voxels, np.diag([1.5, 1.5, 5, 1])), folders.images / "a.nii.gz")
    folders.mask("a.nii.gz")
    assert check(folders.prepare()).ok
    assert list(folders.description()["channel_names"]) == ["0", "1", "2"]


def test_a_number_without_a_first_channel_beside_it_is_part_of_the_name(folders: Folders) -> None:
    folders.picture("scan_0001.png")
    folders.picture("b.png")
    folders.drawn("b.png", (0, 1))
    folders.prepare()
    assert {path.name for path in (folders.out / "imagesTr").iterdir()} == {"scan_0001.nii.gz", "b.nii.gz"}
    assert folders.description()["channel_names"] == {"0": "image"}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["b_0000", "b_0002"], r"b_0002\.png is a channel of b, which has no channel 1 \(b_0001\): add it, or choose"),
        (["b_0000", "b_0001", "c"], r"c\.png is an image of 1 channels, but those before it have 2: all cases"),
        (["b_0000", "b"], r"b\.png and .*b_0000\.png both become b: rename one|b_0000\.png and .*b\.png both become b"),
    ],
)
def test_channels_that_are_missing_or_too_many_are_errors(names: list[str], message: str, folders: Folders) -> None:
    for name in names:
        folders.picture(f"{name}.png")
    folders.drawn("b.png", (0, 1))
    with pytest.raises(ValueError, match=message):
        folders.prepare()
    assert not folders.out.exists()


def test_channels_of_different_shapes_are_an_error_that_names_both(folders: Folders) -> None:
    folders.picture("b_0000.png")
    folders.picture("b_0001.png", (8, 9))
    folders.drawn("b.png", (0, 1))
    with pytest.raises(
        ValueError, match=r"b_0001\.png has the shape \(9, 8, 1\) .* of .*b_0000\.png it must have \(9, 7"
    ):
        folders.prepare()


def test_one_of_several_channels_is_chosen_by_patterns(folders: Folders) -> None:
    chosen = folders.picture("b_0000.png")
    folders.picture("b_0001.png")
    folders.drawn("b.png", (0, 1))
    folders.prepare(pattern="(?P<name>.+)_0000", label_pattern="(?P<name>.+)")
    np.testing.assert_array_equal(folders.stored("images", "b")[..., 0], chosen.T)
    assert "1 files left out, the pattern matches none of these images: b_0001.png" in folders.lines
