"""`fewlabel prepare folders` from end to end, on small files of each kind."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from fewlabel.cli import main
from fewlabel.data.checks.dataset import check
from fewlabel.data.cohort import Cohort
from fewlabel.data.own.dataset import prepare_folders

RANDOM = np.random.default_rng(0)


class Folders:
    """Two folders that a test fills, and a third that is made of them."""

    def __init__(self, root: Path) -> None:
        self.images, self.labels, self.out = root / "images", root / "labels", root / "out"
        self.images.mkdir()
        self.labels.mkdir()
        self.lines: list[str] = []

    def scan(self, name: str) -> np.ndarray:
        voxels = RANDOM.normal(size=(6, 5, 4)).astype(np.float32)
        nib.save(nib.Nifti1Image(voxels, np.diag([1.5, 1.5, 5, 1])), self.images / name)
        return voxels

    def mask(self, name: str, values: tuple[int, ...] = (0, 1), shape: tuple[int, ...] = (6, 5, 4)) -> np.ndarray:
        voxels = np.resize(np.array(values, np.uint8), shape)
        nib.save(nib.Nifti1Image(voxels, np.diag([1.5, 1.5, 5, 1])), self.labels / name)
        return voxels

    def picture(self, name: str, size: tuple[int, int] = (7, 9)) -> np.ndarray:
        """`size` counts rows and columns."""
        return self._save(self.images / name, RANDOM.integers(0, 255, size).astype(np.uint8))

    def drawn(self, name: str, values: tuple[int, ...] = (0, 255), size: tuple[int, int] = (7, 9)) -> np.ndarray:
        return self._save(self.labels / name, np.resize(np.array(values, np.uint8), size))

    def _save(self, path: Path, array: np.ndarray) -> np.ndarray:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(path)
        return array

    def prepare(self, **options: Any) -> Path:
        return prepare_folders(self.images, self.labels, self.out, report=self.lines.append, **options)

    def stored(self, kind: str, name: str) -> np.ndarray:
        return np.asarray(nib.load(self.out / f"{kind}Tr" / f"{name}.nii.gz").dataobj)

    def description(self) -> Any:
        return json.loads((self.out / "dataset.json").read_text())


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path)


def test_equal_names_belong_together_and_an_image_without_label_map_is_unlabeled(folders: Folders) -> None:
    for name in ("a.nii.gz", "b_0000.nii.gz", "c.nii.gz"):
        folders.scan(name)
    folders.mask("a.nii.gz")
    folders.mask("b.nii.gz", (0, 1, 2))
    folders.mask("z.nii.gz")
    out = folders.prepare(names="background,liver,tumor")
    assert folders.description()["labels"] == {"background": 0, "liver": 1, "tumor": 2}
    cohort = Cohort(out)
    assert [item["volume"] for item in cohort.unlabeled] == ["c"]
    assert sorted(item["volume"] for item in cohort.labeled) == ["a", "b"]
    assert folders.lines[:3] == [
        "2 images with a label map: a, b",
        "1 images without one, to train as unlabeled: c",
        "1 files left out, label maps without an image of that name: z.nii.gz",
    ]


def test_of_many_files_that_match_nothing_the_first_five_are_named(folders: Folders) -> None:
    folders.scan("a.nii.gz")
    for name in "abcdefghij":
        folders.mask(f"{name}.nii.gz")
    folders.prepare()
    assert any("9 files left out" in line and line.endswith("f.nii.gz and 4 more") for line in folders.lines)


def test_scans_are_linked_and_copied_when_asked_to(folders: Folders) -> None:
    folders.scan("a.nii.gz")
    folders.mask("a.nii.gz")
    folders.prepare()
    assert (folders.out / "imagesTr/a.nii.gz").is_symlink()
    assert (folders.out / "labelsTr/a.nii.gz").resolve() == (folders.labels / "a.nii.gz").resolve()
    assert "2 symbolic links" in folders.lines
    copied = prepare_folders(folders.images, folders.labels, folders.out.with_name("copy"), links=False)
    assert not (copied / "imagesTr/a.nii.gz").is_symlink()
    assert (copied / "imagesTr/a.nii.gz").read_bytes() == (folders.images / "a.nii.gz").read_bytes()


def test_labels_are_named_after_the_values_found_when_no_names_are_given(folders: Folders) -> None:
    folders.scan("a.nii.gz")
    folders.mask("a.nii.gz", (0, 1, 2))
    folders.prepare()
    assert folders.description()["labels"] == {"background": 0, "label 1": 1, "label 2": 2}


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
        folders._save(folders.images / f"p7/v1_slice_{number}.png", np.full((4, 5), number, np.uint8))
        folders.drawn(f"p7/v1_slice_{number}.png", (0, 1), (4, 5))
    folders._save(folders.images / "p7/v2_slice_03.tif", np.full((4, 5), 3, np.uint8))
    folders.prepare(pattern=r"(?P<name>(?P<case>\w+)/v\d)_slice_(?P<slice>\d+)")
    assert folders.stored("images", "p7_v1")[0, 0].tolist() == list(range(1, 12))
    assert json.loads((folders.out / "splits.json").read_text()) == {"cases": {"p7": ["p7_v1", "p7_v2"]}}


def test_two_patterns_match_names_that_differ(folders: Folders) -> None:
    folders.scan("img0007.nii.gz")
    folders.scan("img0008.nii.gz")
    folders.scan("overview.nii.gz")
    folders.mask("mask_7.nii.gz")
    folders.mask("mask_8.nii.gz")
    folders.prepare(pattern=r"img0*(?P<name>\d+)", label_pattern=r"mask_(?P<name>\d+)")
    assert {path.name for path in (folders.out / "labelsTr").iterdir()} == {"7.nii.gz", "8.nii.gz"}
    assert "1 files left out, the pattern matches none of these images: overview.nii.gz" in folders.lines


def test_a_table_of_pairs_matches_anything(folders: Folders, tmp_path: Path) -> None:
    folders.scan("x.nii.gz")
    folders.scan("y.nii.gz")
    folders.scan("other.nii.gz")
    folders.mask("first.nii.gz")
    table = tmp_path / "pairs.csv"
    table.write_text("image,label\nx.nii.gz,first.nii.gz\ny.nii.gz,\n")
    out = folders.prepare(pairs=str(table))
    assert [item["volume"] for item in Cohort(out).unlabeled] == ["y"]
    assert "1 files left out, pairs.csv does not list these images: other.nii.gz" in folders.lines


def test_names_that_end_in_four_digits_stay_apart(folders: Folders) -> None:
    for number in range(3):
        folders.scan(f"scan_{number:04d}.nii.gz")
        folders.mask(f"scan_{number:04d}.nii.gz")
    assert sorted(item["volume"] for item in Cohort(folders.prepare(), seed=0).labeled) != []
    assert check(folders.out).ok
    assert len(list((folders.out / "labelsTr").iterdir())) == 3


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
    folders._save(folders.labels / "a.png", np.array([[0, 0, 0], [255, 0, 0], [255, 255, 255]], np.uint8)[indices])
    return indices


def test_colors_become_labels_by_an_explicit_mapping(folders: Folders) -> None:
    indices = colored(folders)
    folders.prepare(mapping="#000000:0,#ff0000:1,#FFFFFF:2")
    np.testing.assert_array_equal(folders.stored("labels", "a")[..., 0], indices.T)


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
    folders._save(folders.images / "a.png", np.repeat(gray, 3, axis=2))
    folders.drawn("a.png", (0, 1))
    folders.prepare()
    np.testing.assert_array_equal(folders.stored("images", "a")[..., 0], gray[..., 0].T)
    folders._save(folders.images / "a.png", RANDOM.integers(0, 255, (7, 9, 3)).astype(np.uint8))
    with pytest.raises(ValueError, match=r"images/a\.png is in color, but images of one channel"):
        prepare_folders(folders.images, folders.labels, folders.out.with_name("second"))


def test_hard_links_and_copies_follow_where_symbolic_links_fail(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> None:
        raise OSError("no such links here")

    folders.scan("a.nii.gz")
    folders.mask("a.nii.gz")
    monkeypatch.setattr(os, "symlink", refused)
    folders.prepare()
    assert "2 hard links" in folders.lines
    assert (folders.out / "imagesTr/a.nii.gz").samefile(folders.images / "a.nii.gz")
    monkeypatch.setattr(os, "link", refused)
    prepare_folders(folders.images, folders.labels, folders.out.with_name("copy"), report=folders.lines.append)
    assert "2 copies" in folders.lines


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"names": "background"}, "names is 'background', but it must be different names"),
        ({"names": "background,a"}, r"the label maps hold 2, but --names has 2 names, for 0 to 1"),
        ({"mapping": "0=0"}, r"mapping has '0=0', but it must be values or colors"),
        ({"mapping": "0:0,1:1"}, r"labels/a\.nii\.gz holds 2, which mapping does not name: add '2:LABEL'"),
        ({"mapping": "0:0,0:1"}, "mapping gives 0 the labels 0 and 1"),
        ({"spacing": "1,0,1"}, "spacing is '1,0,1', but it must be three numbers"),
        ({"pattern": "("}, r"pattern is '\(', which is no regular expression"),
        ({"pattern": ".*"}, r"pattern is '\.\*', but it must tell the volume's name in a group"),
        ({"label_pattern": "(?P<name>.*)"}, "--label_pattern needs --pattern"),
        ({"pattern": "(?P<name>a)", "pairs": "x.csv"}, "--pairs and --pattern say the same"),
        ({"pairs": "x.csv"}, r"the table x\.csv does not exist"),
        ({"pattern": "(?P<name>.)(?P<slice>.*)"}, "'slice' is '' there, but it must be a number"),
    ],
)
def test_a_wrong_option_is_an_error_that_names_it(options: dict[str, str], message: str, folders: Folders) -> None:
    folders.scan("a.nii.gz")
    folders.mask("a.nii.gz", (0, 1, 2))
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        folders.prepare(**options)
    assert not folders.out.exists()


def test_names_that_match_nothing_are_shown_with_the_ways_to_match_them(folders: Folders) -> None:
    folders.scan("img1.nii.gz")
    folders.mask("mask1.nii.gz")
    with pytest.raises(
        ValueError, match=r"Images are called img1; label maps mask1\. .*--pattern .*--pairs pairs\.csv"
    ):
        folders.prepare()


def test_a_pair_of_different_shapes_is_an_error_that_names_both(folders: Folders) -> None:
    folders.scan("a.nii.gz")
    folders.mask("a.nii.gz", shape=(6, 5, 3))
    with pytest.raises(ValueError, match=r"labels/a\.nii\.gz has the shape \(6, 5, 3\), but its image .*\(6, 5, 4\)"):
        folders.prepare()


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


def test_a_folder_that_holds_files_is_not_written_to(folders: Folders) -> None:
    folders.out.mkdir()
    (folders.out / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="out is not empty"):
        folders.prepare()
    assert [path.name for path in folders.out.iterdir()] == ["notes.txt"]


def test_the_command_takes_what_people_type(folders: Folders, capsys: Any) -> None:
    for name in "abc":
        folders.picture(f"{name}.png")
        folders.drawn(f"{name}.png")
    paths = [str(path) for path in (folders.images, folders.labels, folders.out)]
    main(["prepare", "folders", *paths, "--names", "background,liver", "--mapping", "0:0,255:1", "--links", "false"])
    assert "3 images with a label map: a, b, c" in capsys.readouterr().out
    assert folders.description()["labels"] == {"background": 0, "liver": 1}
    main(["check", str(folders.out)])
    with pytest.raises(SystemExit, match="2"):
        main(["prepare", "folders", *paths[:2]])
    assert "takes 3 folders, but 2 were given: fewlabel prepare folders IMAGES LABELS OUT" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["prepare", "folders", *paths, "--margin", "3"])
    assert "has no option --margin: it has --names, --mapping," in capsys.readouterr().err
