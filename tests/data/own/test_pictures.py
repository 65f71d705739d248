"""PNG, JPEG and TIFF files, from end to end."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from fewlabel.cli import main
from fewlabel.data.checks.dataset import check
from fewlabel.data.own.dataset import prepare_folders
from helpers.own_folders import RANDOM, Folders


def test_pictures_become_volumes_of_one_slice_whose_columns_come_first(folders: Folders) -> None:
    pictures = {name: folders.picture(f"{name}.png") for name in "abc"}
    masks = {name: folders.drawn(f"{name}.png") for name in "ab"}
    out = folders.prepare(mapping="0:0,255:1", spacing="0.5,0.4,1")
    assert folders.stored("images", "a").shape == (9, 7, 1)
    np.testing.assert_array_equal(folders.stored("images", "a")[..., 0], pictures["a"].T)
    np.testing.assert_array_equal(folders.stored("labels", "b")[..., 0], masks["b"].T // 255)
    image = nib.load(out / "imagesTr/a.nii.gz")
    np.testing.assert_allclose(image.header.get_zooms(), (0.5, 0.4, 1), atol=1e-6)
    np.testing.assert_array_equal(image.affine, nib.load(out / "labelsTr/a.nii.gz").affine)
    assert any("pictures hold no spacing: 0.5 x 0.4 x 1 mm is written" in line for line in folders.lines)
    assert check(out).ok


def test_pictures_whose_names_say_so_are_stacked_slice_10_after_slice_9_and_grouped_by_patient(
    folders: Folders,
) -> None:
    for number in range(1, 12):
        folders.save(folders.images / f"p7/v1_slice_{number}.png", np.full((4, 5), number, np.uint8))
        folders.drawn(f"p7/v1_slice_{number}.png", (0, 1), (4, 5))
    folders.save(folders.images / "p7/v2_slice_03.tif", np.full((4, 5), 3, np.uint8))
    folders.prepare(pattern=r"(?P<name>(?P<case>\w+)/v\d)_slice_(?P<slice>\d+)")
    assert folders.stored("images", "p7_v1")[0, 0].tolist() == list(range(1, 12))
    assert json.loads((folders.out / "splits.json").read_text()) == {"cases": {"p7": ["p7_v1", "p7_v2"]}}


def test_a_tiff_of_several_pages_is_a_volume(folders: Folders) -> None:
    for path, top in ((folders.images / "a.tiff", 4000), (folders.labels / "a.tiff", 2)):
        pages = [Image.fromarray(RANDOM.integers(0, top, (4, 5)).astype(np.uint16)) for _ in range(3)]
        pages[0].save(path, save_all=True, append_images=pages[1:])
    folders.prepare()
    assert folders.stored("images", "a").shape == (5, 4, 3)
    assert folders.stored("images", "a").dtype == np.uint16


def test_palette_masks_give_indices_and_not_colors(folders: Folders) -> None:
    folders.picture("a.png")
    indices = np.resize(np.array([0, 1, 2], np.uint8), (7, 9))
    mask = Image.fromarray(indices, mode="P")
    mask.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    mask.save(folders.labels / "a.png")
    folders.prepare()
    np.testing.assert_array_equal(folders.stored("labels", "a")[..., 0], indices.T)


def colored(folders: Folders) -> np.ndarray:
    folders.picture("a.png")
    indices = np.resize(np.array([0, 1, 2]), (7, 9))
    folders.save(folders.labels / "a.png", np.array([[0, 0, 0], [255, 0, 0], [255, 255, 255]], np.uint8)[indices])
    return indices


def test_colors_become_labels_by_an_explicit_mapping(folders: Folders) -> None:
    indices = colored(folders)
    folders.prepare(mapping="#000000:0,#ff0000:1,#FFFFFF:2")
    np.testing.assert_array_equal(folders.stored("labels", "a")[..., 0], indices.T)


@pytest.mark.parametrize("mapping", ["#000000:0,#ff0000:1,#ffffff:2", "0: 0, #ff0000: 1, 255: 2"])
def test_colors_arrive_from_the_command_line(mapping: str, folders: Folders) -> None:
    indices = colored(folders)
    main(["prepare", "folders", *map(str, (folders.images, folders.labels, folders.out)), "--mapping", mapping])
    np.testing.assert_array_equal(folders.stored("labels", "a")[..., 0], indices.T)


def test_gray_levels_arrive_from_the_command_line_as_a_dictionary_too(folders: Folders) -> None:
    folders.picture("a.png")
    mask = folders.drawn("a.png")
    main(["prepare", "folders", *map(str, (folders.images, folders.labels, folders.out)), "--mapping", "{0:0, 255:1}"])
    np.testing.assert_array_equal(folders.stored("labels", "a")[..., 0], mask.T // 255)


def test_colors_without_a_mapping_are_refused_with_one_that_fits(folders: Folders) -> None:
    colored(folders)
    with pytest.raises(ValueError, match=r"a\.png is in color \(#ff0000, 0, 255\).*--mapping '0:0,#ff0000:1,255:2'"):
        folders.prepare()
    folders.prepare(mapping="0:0,#ff0000:1,255:2")


@pytest.mark.parametrize("kind", ["picture", "scan"])
def test_a_mask_of_0_and_255_is_refused_and_nothing_is_left(kind: str, folders: Folders) -> None:
    if kind == "picture":
        folders.picture("a.png")
        folders.drawn("a.png")
    else:
        folders.scan("a.nii.gz")
        folders.mask("a.nii.gz", (0, 255))
    with pytest.raises(ValueError, match=r"labels/a\..* holds the values 0, 255.*--mapping '0:0,255:1'"):
        folders.prepare()
    assert sorted(path.name for path in folders.out.parent.iterdir()) == ["images", "labels"]


def test_a_scan_s_mask_is_mapped_and_its_image_still_linked(folders: Folders) -> None:
    folders.scan("a.nii.gz")
    voxels = folders.mask("a.nii.gz", (0, 255))
    folders.prepare(mapping="0:0,255:1")
    np.testing.assert_array_equal(folders.stored("labels", "a"), voxels // 255)
    assert (folders.out / "imagesTr/a.nii.gz").is_symlink()
    assert not (folders.out / "labelsTr/a.nii.gz").is_symlink()


def test_gray_pictures_stored_in_color_are_read_and_colored_ones_refused(folders: Folders) -> None:
    gray = RANDOM.integers(0, 255, (7, 9, 1)).astype(np.uint8)
    folders.save(folders.images / "a.png", np.repeat(gray, 3, axis=2))
    folders.drawn("a.png", (0, 1))
    folders.prepare()
    np.testing.assert_array_equal(folders.stored("images", "a")[..., 0], gray[..., 0].T)
    folders.save(folders.images / "a.png", RANDOM.integers(0, 255, (7, 9, 3)).astype(np.uint8))
    with pytest.raises(ValueError, match=r"images/a\.png is in color, but images of one channel"):
        prepare_folders(folders.images, folders.labels, folders.out.with_name("second"))


def test_slices_of_different_sizes_and_missing_slices_are_errors(folders: Folders) -> None:
    pattern = r"(?P<name>.+)_(?P<slice>\d+)"
    for number in (1, 2):
        folders.picture(f"a_{number}.png", (7, 8 + number))
        folders.drawn(f"a_{number}.png", (0, 1))
    with pytest.raises(ValueError, match=r"a_2\.png has the shape \(7, 10\), but a_1\.png of the same volume \(7, 9\)"):
        folders.prepare(pattern=pattern)
    (folders.images / "a_2.png").rename(folders.images / "a_4.png")
    with pytest.raises(ValueError, match=r"a lacks 2 of the slices 1 to 4 \(2, 3\)"):
        folders.prepare(pattern=pattern)


def test_a_damaged_picture_is_named(folders: Folders) -> None:
    folders.picture("a.png")
    folders.drawn("a.png", (0, 1))
    (folders.images / "a.png").write_bytes((folders.images / "a.png").read_bytes()[:40])
    with pytest.raises(ValueError, match=r"images/a\.png is damaged or no picture"):
        folders.prepare()


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif"])
@pytest.mark.parametrize("kind", ["images", "labels"])
def test_a_picture_that_is_shown_turned_is_refused_and_an_upright_one_read(
    name: str, kind: str, folders: Folders
) -> None:
    folders.picture("a.png", (8, 8))
    folders.drawn("a.png", (0, 0), (8, 8))
    folder = folders.out.with_name(kind)
    picture, exif = Image.open(folder / "a.png"), Image.Exif()
    (folder / "a.png").unlink()
    exif[0x0112] = 6
    picture.save(folder / name, exif=exif)
    with pytest.raises(ValueError, match=rf"{kind}/{name} has the EXIF orientation 6, so it is shown turned"):
        folders.prepare(names="background,liver")
    exif[0x0112] = 1
    picture.save(folder / name, exif=exif)
    folders.prepare(names="background,liver")


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("kind", ["images", "labels"])
def test_a_picture_with_transparent_pixels_is_refused_and_an_opaque_one_read(
    mode: str, kind: str, folders: Folders
) -> None:
    folders.picture("a.png")
    drawn = folders.drawn("a.png")
    path = folders.out.with_name(kind) / "a.png"
    white = Image.new(mode, (9, 7), "white")
    white.putalpha(Image.fromarray(drawn))
    white.save(path)
    with pytest.raises(ValueError, match=rf"{kind}/a\.png has transparent pixels, .*: save it without transparency"):
        folders.prepare(mapping="0:0,255:1")
    Image.new(mode, (9, 7), "white").save(path)
    folders.prepare(mapping="0:0,255:1", names="background,liver")
    assert np.unique(folders.stored(kind, "a")).tolist() == [255 if kind == "images" else 1]


def test_a_picture_of_more_pixels_than_pillow_reads_is_named(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    folders.picture("a.png")
    folders.drawn("a.png", (0, 1))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    with pytest.raises(ValueError, match=r"images/a\.png is too large a picture: cut it into tiles.*63 pixels"):
        folders.prepare()
