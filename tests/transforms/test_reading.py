from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK

from fewlabel.transforms import LoadCased, SeriesReader

WriteSeries = Callable[..., Path]
AFFINE = np.array([[-1.5, 0, 0, 20], [0, -1.25, 0, -7], [0, 0, 8, 3], [0, 0, 0, 1]])


@pytest.fixture
def voxels() -> np.ndarray:
    return np.random.default_rng(0).integers(-100, 1000, (7, 6, 5)).astype(np.int16)


def load(image: Any) -> Any:
    return LoadCased(label_key=None)({"image": image})["image"]


@pytest.mark.parametrize("ending", [".dcm", ".IMA", ""])
def test_a_series_is_one_volume_in_the_order_of_its_slices(
    write_series: WriteSeries, tmp_path: Path, voxels: np.ndarray, ending: str
) -> None:
    folder = write_series(tmp_path / "series", voxels, ending=ending)
    files = sorted(str(file) for file in folder.iterdir())
    for image in (str(folder), files, files[::-1]):
        loaded = load(image)
        assert np.array_equal(loaded[0].numpy(), voxels)
        assert np.allclose(loaded.affine.numpy(), AFFINE)


@pytest.mark.parametrize("ending", [".nrrd", ".mha", ".mhd"])
def test_other_formats_come_with_the_axes_and_the_affine_of_itk(
    tmp_path: Path, voxels: np.ndarray, ending: str
) -> None:
    image = SimpleITK.GetImageFromArray(voxels.T)
    image.SetSpacing((1.5, 1.25, 8.0))
    image.SetOrigin((-20.0, 7.0, 3.0))
    SimpleITK.WriteImage(image, str(tmp_path / f"scan{ending}"))
    loaded = load(str(tmp_path / f"scan{ending}"))
    assert np.array_equal(loaded[0].numpy(), voxels)
    assert np.allclose(loaded.affine.numpy(), AFFINE)


@pytest.mark.slow
def test_a_series_is_read_as_monais_own_reader_reads_it(
    write_series: WriteSeries, tmp_path: Path, voxels: np.ndarray
) -> None:
    from monai.data import ITKReader  # ITK's Python modules take many seconds to load
    from monai.transforms import LoadImage

    folder = str(write_series(tmp_path / "series", voxels))
    theirs, ours = LoadImage(ITKReader())(folder), load(folder)
    assert np.array_equal(ours[0].numpy(), theirs.numpy())
    assert np.allclose(ours.affine, theirs.affine)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"heights": [0, 8, 8, 16, 24]}, r"5 files, but several slices in the same place .*: a 4D scan; export each"),
        ({"heights": [0, 8, 24, 32, 40]}, r"16 mm between .* but 8 mm between others: a slice is missing"),
        ({"shift": 2.0}, r"shifted within their planes, as by a tilted gantry; convert it with dcm2niix"),
    ],
)
def test_slices_that_are_no_grid_of_voxels_are_refused_by_name(
    write_series: WriteSeries, tmp_path: Path, voxels: np.ndarray, change: dict[str, Any], message: str
) -> None:
    folder = write_series(tmp_path / "series", voxels, **change)
    with pytest.raises(ValueError, match=message) as error:
        load(str(folder))
    assert str(error.value).startswith(str(folder))


def test_slices_of_several_orientations_or_sizes_are_refused(
    write_series: WriteSeries, tmp_path: Path, voxels: np.ndarray
) -> None:
    turned = write_series(tmp_path / "turned", voxels)
    write_series(turned, voxels, row=(0, 0, -1), uid="1.2.3.5")
    with pytest.raises(ValueError, match="slices of several orientations in one series"):
        load([str(file) for file in turned.iterdir()])
    cut = write_series(tmp_path / "cut", voxels)
    write_series(cut, voxels[:4], uid="1.2.3.5", heights=[100, 108])
    with pytest.raises(ValueError, match=r"slices of . x 6 pixels of 1\.5 x 1\.25 mm and of . x 6 pixels"):
        load([str(file) for file in cut.iterdir()])


def test_a_folder_of_several_series_or_of_none_is_refused(
    write_series: WriteSeries, tmp_path: Path, voxels: np.ndarray
) -> None:
    folder = write_series(tmp_path / "series", voxels)
    write_series(folder, voxels, uid="1.2.3.5")
    with pytest.raises(ValueError, match="series: expected one DICOM series, found 2"):
        load(str(folder))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty: expected one DICOM series, found none"):
        load(str(tmp_path / "empty"))


def test_a_truncated_slice_is_told_with_its_series(
    write_series: WriteSeries, tmp_path: Path, voxels: np.ndarray
) -> None:
    folder = write_series(tmp_path / "series", voxels)
    files = sorted(str(path) for path in folder.iterdir())
    Path(files[2]).write_bytes(Path(files[2]).read_bytes()[:-40])
    with pytest.raises(ValueError, match=rf"{folder} \(5 files\): a file of the series is damaged: copy the series"):
        load(files)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.dcm: no such file"):
        SeriesReader().read(str(tmp_path / "gone.dcm"))
