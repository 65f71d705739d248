"""Which files below a folder are images, and what they are called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fewlabel.data.own.dataset import prepare_folders
from helpers.own_folders import Folders

LONG = "folder" * 20 + "/" + "n" * 79


@pytest.mark.parametrize("copy", [".ipynb_checkpoints/a-checkpoint.png", "visit/.git/b.png", ".c.png", "d/.e.png"])
def test_hidden_files_and_what_hidden_folders_hold_are_no_cases(copy: str, folders: Folders) -> None:
    folders.picture("a.png")
    folders.drawn("a.png", (0, 1))
    folders.save(folders.images / copy, folders.picture("a.png"))
    folders.prepare()
    assert [path.name for path in (folders.out / "imagesTr").iterdir()] == ["a.nii.gz"]
    assert folders.lines[0] == "1 images with a label map: a"


def test_a_data_set_below_a_hidden_folder_is_read(folders: Folders) -> None:
    folders.images = folders.images / ".archive"
    folders.save(folders.images / "a.png", folders.drawn("a.png", (0, 1)))
    folders.prepare()
    assert (folders.out / "imagesTr/a.nii.gz").is_file()


@pytest.mark.parametrize("options", [{}, {"pattern": "(?P<name>.+)"}])
@pytest.mark.parametrize("write", [Folders.picture, Folders.scan])
def test_a_path_too_long_for_a_name_is_an_error_and_one_a_letter_shorter_is_not(
    write: Any, options: dict[str, str], folders: Folders
) -> None:
    ending = ".png" if write is Folders.picture else ".nii.gz"
    mask = folders.drawn if write is Folders.picture else folders.mask
    for kind in (folders.images, folders.labels):
        (kind / LONG).parent.mkdir()
    write(folders, f"{LONG}x{ending}")
    mask(f"{LONG}x{ending}", (0, 1))
    with pytest.raises(ValueError, match=rf"nx{ending}: its folders and name make a volume's name of 201 bytes, but"):
        folders.prepare(**options)
    for kind in (folders.images, folders.labels):
        (kind / f"{LONG}x{ending}").rename(kind / f"{LONG}{ending}")
    folders.prepare(**options)
    assert (folders.out / "labelsTr" / (LONG.replace("/", "_") + ".nii.gz")).is_file()


@pytest.mark.parametrize("name", ["b.png", "p2"])
def test_a_link_to_what_does_not_exist_is_an_error(name: str, folders: Folders) -> None:
    folders.picture("a.png")
    folders.drawn("a.png", (0, 1))
    (folders.images / name).symlink_to("/unmounted/there")
    with pytest.raises(FileNotFoundError, match=rf"images/{name} is a link to /unmounted/there, which does not exist"):
        folders.prepare()


def test_linked_folders_are_searched_and_a_circle_of_links_is_an_error(folders: Folders, tmp_path: Path) -> None:
    folders.drawn("p1/a.png", (0, 1))
    folders.save(tmp_path / "disk/a.png", folders.drawn("p1/a.png", (0, 1)))
    (folders.images / "p1").symlink_to(tmp_path / "disk")
    folders.prepare()
    assert (folders.out / "imagesTr/p1_a.nii.gz").is_file()
    (tmp_path / "disk/again").symlink_to(folders.images)
    with pytest.raises(ValueError, match=r"images/p1/again and .*images are one folder by a link: remove the link"):
        prepare_folders(folders.images, folders.labels, tmp_path / "second")
