from __future__ import annotations

import builtins
import gzip

import nibabel as nib
import numpy as np
import pytest

from fewlabel.data.files.volumes import label_values, read_channels, read_header, read_volume


def test_nifti_comes_back_voxel_for_voxel_with_its_affine(dataset):
    array, affine = dataset.voxels(), np.diag([-0.7, 0.8, 2.5, 1.0])
    path = dataset.write("a.nii.gz", array, affine)
    voxels, found = read_volume(path)
    np.testing.assert_array_equal(voxels, array)
    np.testing.assert_allclose(found, affine, atol=1e-6)
    header = read_header(path)
    assert header.shape == array.shape
    assert header.spacing == pytest.approx((0.7, 0.8, 2.5))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32])
def test_integers_keep_their_type(dataset, dtype):
    array, _ = read_volume(dataset.write("a.nii", np.arange(24, dtype=dtype).reshape(2, 3, 4)))
    assert array.dtype == dtype


def test_doubles_become_single_precision(dataset):
    assert read_volume(dataset.write("a.nii", np.ones((2, 3, 4))))[0].dtype == np.float32


def test_big_endian_files_come_back_in_this_machines_order(dataset):
    expected = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    path = dataset.root / "a.nii"
    path.parent.mkdir()
    nib.save(nib.Nifti1Image(expected.astype(">i2"), np.eye(4), nib.Nifti1Header(endianness=">")), path)
    array, _ = read_volume(path)
    np.testing.assert_array_equal(array, expected)
    assert array.dtype.isnative


def test_stored_slope_and_intercept_are_applied(dataset):
    path = dataset.root / "a.nii.gz"
    path.parent.mkdir()
    image = nib.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.eye(4))
    image.header.set_slope_inter(2, -1024)
    raw = bytearray(image.header.binaryblock + b"\0" * 4)
    raw[108:112] = np.float32(352).tobytes()  # vox_offset
    with gzip.open(path, "wb") as stream:
        stream.write(bytes(raw) + np.arange(24, dtype=np.int16).reshape(2, 3, 4).tobytes(order="F"))
    np.testing.assert_array_equal(read_volume(path)[0], 2.0 * np.arange(24).reshape(2, 3, 4) - 1024)


def test_a_2d_image_has_one_slice_and_trailing_axes_of_one_vanish(dataset):
    assert read_volume(dataset.write("flat.nii", np.ones((5, 4), np.uint8)))[0].shape == (5, 4, 1)
    assert read_volume(dataset.write("deep.nii", np.ones((5, 4, 3, 1, 1), np.uint8)))[0].shape == (5, 4, 3)


@pytest.mark.parametrize("ending", [".nrrd", ".mha", ".mhd", ".nii.gz"])
def test_every_format_gives_the_same_array_and_affine(tmp_path, ending):
    sitk = pytest.importorskip("SimpleITK")
    voxels = np.arange(60, dtype=np.int16).reshape(3, 4, 5)  # (x, y, z)
    image = sitk.GetImageFromArray(voxels.T)
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    image.SetSpacing((0.5, 0.75, 3.0))
    image.SetOrigin((10.0, -20.0, 30.0))
    image.SetDirection(turn.ravel().tolist())
    path = tmp_path / f"a{ending}"
    sitk.WriteImage(image, str(path))
    # ITK's axes point to the patient's left and back, RAS+ to the right and front: x and y change sign
    expected = np.eye(4)
    expected[:3, :3] = np.diag([-1, -1, 1]) @ turn @ np.diag([0.5, 0.75, 3.0])
    expected[:3, 3] = (-10.0, 20.0, 30.0)
    array, affine = read_volume(path)
    np.testing.assert_array_equal(array, voxels)
    np.testing.assert_allclose(affine, expected, atol=1e-5)
    np.testing.assert_allclose(read_header(path).affine, expected, atol=1e-5)


def test_labels_shrink_to_uint8(dataset):
    array, _ = read_volume(dataset.write("a.nii", np.full((2, 2, 2), 3.0)), allowed={0, 3})
    assert array.dtype == np.uint8
    assert (array == 3).all()


def test_label_values_are_the_distinct_values_of_all_slices():
    array = np.random.default_rng(0).integers(-3, 9, (7, 6, 5)).astype(np.int16)
    assert label_values(array) == sorted({int(value) for value in array.ravel()})


@pytest.mark.parametrize("ending", [".nii.gz", ".nii"])
def test_a_truncated_file_keeps_its_header_but_its_voxels_are_refused(dataset, ending):
    path = dataset.write(f"a{ending}", np.random.default_rng(0).normal(size=(32, 32, 16)).astype(np.float32))
    path.write_bytes(path.read_bytes()[:20_000])
    assert read_header(path).shape == (32, 32, 16)
    with pytest.raises(ValueError, match=rf"a{ending} is truncated or corrupt: copy it again"):
        read_volume(path)


@pytest.mark.parametrize("ending", [".nrrd", ".mha"])
def test_a_truncated_file_of_another_format_is_refused(tmp_path, ending):
    sitk = pytest.importorskip("SimpleITK")
    path = tmp_path / f"a{ending}"
    sitk.WriteImage(sitk.GetImageFromArray(np.random.default_rng(0).normal(size=(16, 32, 32))), str(path))
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(ValueError, match=rf"a{ending} is truncated or corrupt: copy it again"):
        read_volume(path)


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nii", "a.mha", "a.nrrd"])
@pytest.mark.parametrize("content", [b"", b"garbage" * 100])
def test_garbage_is_called_corrupt(tmp_path, name, content):
    if not name.startswith("a.nii"):
        pytest.importorskip("SimpleITK")
    (tmp_path / name).write_bytes(content)
    for read in (read_header, read_volume):
        with pytest.raises(ValueError, match=rf"{name} is truncated or corrupt"):
            read(tmp_path / name)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"a\.nii does not exist"):
        read_volume(tmp_path / "a.nii")


def test_a_file_that_is_no_image_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"a\.png has none of the image endings \.nii\.gz"):
        read_volume(tmp_path / "a.png")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_voxel_that_is_not_finite_is_refused_when_asked(dataset, value):
    array = dataset.voxels()
    array[2, 3, 1] = value
    path = dataset.write("a.nii", array)
    read_volume(path)
    with pytest.raises(ValueError, match=r"a\.nii holds NaN or infinite voxels: export it again"):
        read_volume(path, finite=True)


def test_unknown_label_values_are_named(dataset):
    path = dataset.write("a.nii", np.array([[[0, 1, 7, 200]]], np.uint8))
    with pytest.raises(ValueError, match=r"label values 7, 200, but dataset.json names 0, 1"):
        read_volume(path, allowed={0, 1})


@pytest.mark.parametrize("value", [0.5, np.nan])
def test_label_values_that_are_no_whole_numbers_are_named(dataset, value):
    path = dataset.write("a.nii", np.array([[[0, 1, value]]], np.float32))
    with pytest.raises(ValueError, match=rf"not whole numbers \({value}\): it was resampled with interpolation"):
        read_volume(path, allowed={0, 1})


def test_the_fourth_axis_counts_channels(dataset):
    header = read_header(dataset.write("a.nii", np.ones((5, 4, 3, 2), np.uint8)))
    assert (header.shape, header.channels) == ((5, 4, 3), 2)


def test_a_volume_has_one_channel(dataset):
    with pytest.raises(ValueError, match=r"a\.nii has 2 channels or time points; expected one value per voxel"):
        read_volume(dataset.write("a.nii", np.ones((5, 4, 3, 2), np.uint8)))


def test_a_fifth_axis_is_refused(dataset):
    with pytest.raises(ValueError, match=r"shape \(5, 4, 3, 1, 2\); expected a 2D or 3D image, with channels along"):
        read_header(dataset.write("a.nii", np.ones((5, 4, 3, 1, 2), np.uint8)))


def test_channels_are_the_same_from_one_file_and_from_several(dataset):
    both = dataset.voxels((5, 4, 3, 2))
    whole = dataset.write("whole.nii.gz", both)
    parts = [str(dataset.write(f"a_000{number}.nii.gz", both[..., number])) for number in (0, 1)]
    for channels in (read_channels(whole), read_channels(parts)):
        assert len(channels) == 2
        assert all((channel == both[..., number]).all() for number, channel in enumerate(channels))


def test_channels_of_two_shapes_are_named(dataset):
    parts = [str(dataset.write(f"a_000{n}.nii", np.ones((5, 4, 3 + n), np.uint8))) for n in (0, 1)]
    with pytest.raises(ValueError, match=r"a_0001\.nii has the shape \(5, 4, 4\), but .*a_0000\.nii \(5, 4, 3\)"):
        read_channels(parts)


def test_color_is_refused(dataset):
    array = np.zeros((3, 3, 3), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    with pytest.raises(ValueError, match="export it as a gray-scale image"):
        read_header(dataset.write("a.nii", array))


def test_several_values_per_voxel_are_refused(tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((2, 3, 4, 3)), isVector=True), str(tmp_path / "a.mha"))
    with pytest.raises(ValueError, match="has 3 values per voxel; expected a gray-scale image"):
        read_header(tmp_path / "a.mha")


def test_a_flattened_affine_is_refused(dataset):
    path = dataset.write("a.nii", np.ones((2, 2, 2), np.uint8))
    image = nib.load(path)
    image.header.set_sform(np.diag([1.0, 1.0, 0.0, 1.0]), code=1)
    image.header.set_qform(None, code=0)
    raw = bytearray(path.read_bytes())
    raw[:348] = image.header.binaryblock
    raw[108:112] = np.float32(352).tobytes()
    path.write_bytes(bytes(raw))
    with pytest.raises(ValueError, match="unusable geometry"):
        read_header(path)


def test_without_simpleitk_the_cure_is_named(tmp_path, monkeypatch):
    (tmp_path / "a.mha").write_bytes(b"")
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "SimpleITK":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"reading \.mha needs SimpleITK: pip install '\.\[formats\]'"):
        read_header(tmp_path / "a.mha")
