"""Tables of pairs that say less or something else than is meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.own_folders import Folders


@pytest.fixture
def two(folders: Folders) -> Folders:
    for number in range(2):
        folders.picture(f"img_{number}.png")
        folders.drawn(f"mask_{number}.png", (0, 1))
    return folders


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (b"label,image,label\nmask_0.png,img_0.png,mask_1.png", r"pairs\.csv must have the columns image and label in"),
        (
            b"image,label\nimg_0.png,mask_0.png\nimg_1.png",
            r"pairs\.csv, line 3 must have 2 entries as the first: image",
        ),
        (b"image,label\nimg_0.png,mask_0.png,x", r"pairs\.csv, line 2 must have 2 entries as the first: image,label"),
        (
            b"image,label\nimg_0.png,mask_0.png\nimg_1.png,mask_0.png",
            r"pairs\.csv, line 3: mask_0\.png belongs to the image of line 2 already",
        ),
        (b"image,label\nB\xe4r.png,mask_0.png", r"pairs\.csv can't be read \(.*0xe4.*\): save it as CSV in UTF-8"),
        ("image,label\nimg_0.png,".encode("utf-16"), r"pairs\.csv can't be read \(.*\): save it as CSV in UTF-8"),
        (b"image,label\nimg_0.png,mask_9.png", r"pairs\.csv, line 2: .*labels has no label map 'mask_9\.png'"),
        (b"image,label\nimg_9.png,mask_0.png", r"pairs\.csv, line 2: .*images has no image 'img_9\.png'"),
    ],
)
def test_a_table_that_is_wrong_is_an_error_that_names_the_line(
    table: bytes, message: str, two: Folders, tmp_path: Path
) -> None:
    (tmp_path / "pairs.csv").write_bytes(table)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        two.prepare(pairs=str(tmp_path / "pairs.csv"))
    assert not two.out.exists()


def test_paths_in_a_table_may_begin_with_a_dot_and_slash(two: Folders, tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("image,label\n./img_0.png,./mask_0.png\n\nimg_1.png,\n")
    two.prepare(pairs=str(tmp_path / "pairs.csv"))
    assert two.lines[0] == "1 images with a label map: img_0"
