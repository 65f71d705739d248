"""Matching, linking and refusing, from end to end on small scans."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from fewlabel.cli import main
from fewlabel.data.checks.dataset import check
from fewlabel.data.cohort import Cohort
from fewlabel.data.files.volumes import read_header
from fewlabel.data.own.dataset import prepare_folders
from helpers.own_folders import Folders


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


def test_two_patterns_match_names_that_differ(folders: Folders) -> None:
    folders.scan("img0007.nii.gz")
    folders.scan("img0008.nii.gz")
    folders.scan("overview.nii.gz")
    folders.mask("mask_7.nii.gz")
    folders.mask("mask_8.nii.gz")
    folders.prepare(pattern=r"img0*(?P<name>\d+)", label_pattern=r"mask_(?P<name>\d+)")
    assert {path.name for path in (folders.out / "labelsTr").iterdir()} == {"7.nii.gz", "8.nii.gz"}
    assert "1 files left out, the pattern matches none of these images: overview.nii.gz" in folders.lines


def test_one_folder_of_both_kinds_needs_two_patterns(folders: Folders) -> None:
    folders.scan("a_img.nii.gz")
    folders.mask("a_seg.nii.gz")
    (folders.labels / "a_seg.nii.gz").rename(folders.images / "a_seg.nii.gz")
    with pytest.raises(ValueError, match=r"images and label maps are both in .*--label_pattern"):
        prepare_folders(folders.images, folders.images, folders.out)
    out = prepare_folders(
        folders.images, folders.images, folders.out, pattern="(?P<name>.+)_img", label_pattern="(?P<name>.+)_seg"
    )
    assert [path.name for path in (out / "labelsTr").iterdir()] == ["a.nii.gz"]


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
        ({"spacing": "1,1"}, "spacing is '1,1', but it must be three numbers"),
        ({"spacing": "1,1e-320,1"}, r"spacing is '1,1e-320,1', but .* millimeters from 0\.0002 to 1000: '0\.5,0\.5,2'"),
        ({"spacing": "1,1,1e300"}, r"spacing is '1,1,1e300', but .* millimeters from 0\.0002 to 1000"),
        ({"spacing": "nan,1,1"}, "spacing is 'nan,1,1', but it must be three numbers"),
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


def test_a_spacing_as_fine_as_a_microscope_s_is_written_and_read(folders: Folders) -> None:
    folders.picture("a.png")
    folders.drawn("a.png", (0, 1))
    folders.prepare(spacing="0.0002,0.0002,0.0002")
    assert check(folders.out).ok
    assert read_header(folders.out / "imagesTr/a.nii.gz").spacing == pytest.approx((0.0002, 0.0002, 0.0002))


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


@pytest.mark.parametrize("mapping", ["", "0:0,1:1"])
def test_a_label_map_that_lies_elsewhere_is_an_error_that_names_both(folders: Folders, mapping: str) -> None:
    folders.scan("a.nii.gz")
    voxels = folders.mask("a.nii.gz")
    nib.save(nib.Nifti1Image(voxels, np.diag([1.5, 1.5, 6, 1])), folders.labels / "a.nii.gz")
    message = r"labels/a\.nii\.gz lies elsewhere than its image .*images/a\.nii\.gz: their affines differ by up to 1;"
    with pytest.raises(ValueError, match=message):
        folders.prepare(mapping=mapping)
    assert not folders.out.exists()


def test_channels_that_lie_elsewhere_are_an_error_that_names_both(folders: Folders) -> None:
    voxels = folders.scan("a_0000.nii.gz")
    nib.save(nib.Nifti1Image(voxels, np.diag([1.5, 1.5, 6, 1])), folders.images / "a_0001.nii.gz")
    folders.mask("a.nii.gz")
    with pytest.raises(ValueError, match=r"a_0001\.nii\.gz lies elsewhere than its image .*a_0000\.nii\.gz"):
        folders.prepare()


@pytest.mark.parametrize("where", ["images", "labels"])
def test_a_voxel_that_is_not_finite_is_an_error_that_names_the_file(folders: Folders, where: str) -> None:
    voxels = folders.scan("a.nii.gz")
    folders.mask("a.nii.gz")
    voxels[1, 2, 3] = np.nan
    nib.save(nib.Nifti1Image(voxels, np.diag([1.5, 1.5, 5, 1])), folders.images.with_name(where) / "a.nii.gz")
    with pytest.raises(ValueError, match=rf"{where}/a\.nii\.gz holds NaN or infinite voxels"):
        folders.prepare()
    assert not folders.out.exists()


def test_a_folder_that_holds_files_is_not_written_to(folders: Folders) -> None:
    folders.out.mkdir()
    (folders.out / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="out is not empty"):
        folders.prepare()
    assert [path.name for path in folders.out.iterdir()] == ["notes.txt"]


def test_an_empty_folder_behind_a_link_is_filled(folders: Folders, tmp_path: Path) -> None:
    folders.scan("a.nii.gz")
    folders.mask("a.nii.gz")
    (tmp_path / "disk").mkdir()
    folders.out.symlink_to(tmp_path / "disk")
    folders.prepare()
    assert folders.out.is_symlink()
    assert (tmp_path / "disk/labelsTr/a.nii.gz").is_file()


@pytest.mark.parametrize(
    ("names", "second"),
    [
        ("['background','right kidney']", "right kidney"),
        ('["background", "right kidney"]', "right kidney"),
        ("background, kidney [right]", "kidney [right]"),
        ("background,Gerota's", "Gerota's"),
    ],
)
def test_names_may_be_written_as_a_list(names: str, second: str, folders: Folders) -> None:
    folders.scan("a.nii.gz")
    folders.mask("a.nii.gz")
    folders.prepare(names=names)
    assert folders.description()["labels"] == {"background": 0, second: 1}


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
