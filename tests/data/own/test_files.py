"""Which files below a folder are images, and what they are called."""

from __future__ import annotations

import pytest

from helpers.own_folders import Folders


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
