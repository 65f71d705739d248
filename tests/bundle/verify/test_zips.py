from __future__ import annotations

import io
import os
import shutil
import stat
import struct
import zipfile
from pathlib import Path

import pytest

from fewlabel.bundle.verify.zips import ZipFiles


def write(archive: Path, *entries: tuple[str, bytes], **attributes: int) -> Path:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in entries:
            info = zipfile.ZipInfo("placeholder")
            info.filename = name  # ZipInfo itself would correct it
            info.compress_type = zipfile.ZIP_DEFLATED
            for attribute, value in attributes.items():
                setattr(info, attribute, value)
            packed.writestr(info, content)
    return archive


def test_an_honest_zip_gives_its_files_below_the_one_folder_and_writes_nothing(tmp_path: Path) -> None:
    archive = write(tmp_path / "a.zip", ("mcsc/", b""), ("mcsc/configs/a.json", b"{}"), ("mcsc/LICENSE", b"free"))
    files = ZipFiles(archive)
    assert files.name == "mcsc"
    assert files.sizes == {"configs/a.json": 2, "LICENSE": 4}
    assert files.read("LICENSE") == b"free"
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]
    root = files.extract(tmp_path / "out")
    assert root == tmp_path / "out" / "mcsc"
    assert (root / "configs" / "a.json").read_bytes() == b"{}"


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd", "../up", "mcsc/../../up", "mcsc/..", "..", "mcsc/./a", "mcsc//a", "mcsc\\..\\up", "C:/a",
        "mcsc/a\x00b", "mcsc/\x1b[2J", "mcsc/a:stream", "mcsc/a.", "mcsc/a ",
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_path_that_leaves_the_folder_or_is_no_plain_path_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"leaves the folder or is no plain path.*nothing was unpacked"):
        ZipFiles(write(tmp_path / "a.zip", ("mcsc/LICENSE", b"free"), (name, b"x")))


@pytest.mark.parametrize(
    ("mode", "message"), [(stat.S_IFLNK, "is a link"), (stat.S_IFIFO, "is no ordinary"), (stat.S_IFCHR, "no ordinary")]
)
def test_a_link_or_a_device_is_refused(mode: int, message: str, tmp_path: Path) -> None:
    archive = write(tmp_path / "a.zip", ("mcsc/a", b"/etc/passwd"), external_attr=(mode | 0o777) << 16, create_system=3)
    with pytest.raises(ValueError, match=message):
        ZipFiles(archive)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("mcsc/a", "mcsc/a"), "'mcsc/a' is there twice"),
        (("mcsc/LICENSE", "mcsc/License"), "'mcsc/License' is there twice"),
        (("mcsc/a", "mcsc/a/b"), "'mcsc/a' is a file and a folder"),
        (("mcsc/a", "cts/a"), r"2 entries at the top \('cts', 'mcsc'\)"),
        (("mcsc/a", "README"), r"2 entries at the top"),
        (("LICENSE",), "'LICENSE' is a file where the bundle's folder should be"),
        ((), "it is empty"),
        (("mcsc/",), "it is empty"),
    ],
)
def test_names_that_no_honest_packer_writes_are_refused(names: tuple[str, ...], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        ZipFiles(write(tmp_path / "a.zip", *((name, b"") for name in names)))


def test_a_bomb_is_refused_before_it_unfolds(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'mcsc/a' would unfold from [\d,]+ to 8,000,000 bytes"):
        ZipFiles(write(tmp_path / "a.zip", ("mcsc/a", bytes(8_000_000))))
    # a small file of zeros is none, nor is a large one of chance
    ZipFiles(write(tmp_path / "b.zip", ("mcsc/a", bytes(900_000)), ("mcsc/b", os.urandom(3_000_000))))


def test_more_than_four_gibibytes_in_all_are_refused_though_each_file_is_harmless(tmp_path: Path) -> None:
    archive = write(tmp_path / "a.zip", ("mcsc/a", os.urandom(200)), ("mcsc/b", os.urandom(200)))
    content = bytearray(archive.read_bytes())
    for at in (content.find(b"PK\x01\x02"), content.rfind(b"PK\x01\x02")):
        struct.pack_into("<II", content, at + 20, 2**31, 2**32 - 2**20)  # a lie about both sizes
    archive.write_bytes(content)
    with pytest.raises(ValueError, match=r"it would unfold to 8,587,837,440 bytes.*its entries overlap"):
        ZipFiles(archive)


def test_a_size_that_lies_low_gives_no_more_than_it_says(tmp_path: Path) -> None:
    archive = write(tmp_path / "a.zip", ("mcsc/a", bytes(900_000)))
    content = bytearray(archive.read_bytes())
    struct.pack_into("<I", content, content.find(b"PK\x01\x02") + 24, 10)
    archive.write_bytes(content)
    with pytest.raises(ValueError, match=r"'a' is damaged .*; get the zip again"):
        ZipFiles(archive).read("a")


def test_encrypted_entries_are_refused(tmp_path: Path) -> None:
    archive = write(tmp_path / "a.zip", ("mcsc/a", b"secret"))
    content = bytearray(archive.read_bytes())
    for at, offset in ((0, 6), (content.find(b"PK\x01\x02"), 8)):
        struct.pack_into("<H", content, at + offset, 1)
    archive.write_bytes(content)
    with pytest.raises(ValueError, match="'mcsc/a' is encrypted"):
        ZipFiles(archive)


def test_a_damaged_zip_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK but no zip")
    with pytest.raises(ValueError, match=r"a\.zip: not a zip, or damaged"):
        ZipFiles(tmp_path / "a.zip")
    with pytest.raises(FileNotFoundError, match=r"b\.zip: no such file; name a bundle, its folder or its zip"):
        ZipFiles(tmp_path / "b.zip")
    whole = io.BytesIO(write(tmp_path / "c.zip", ("mcsc/a", os.urandom(1000))).read_bytes()).getvalue()
    (tmp_path / "c.zip").write_bytes(whole[:100] + bytes([whole[100] ^ 255]) + whole[101:])
    with pytest.raises(ValueError, match=r"c\.zip: 'a' is damaged"):
        ZipFiles(tmp_path / "c.zip").read("a")


def test_python_itself_would_have_unpacked_such_a_link_or_path_somewhere(tmp_path: Path) -> None:
    """Why refusing is our business: the standard library unpacks these without a word."""
    archive = write(tmp_path / "a.zip", ("mcsc/a", b""), ("../up", b"x"))
    shutil.unpack_archive(archive, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) in (["mcsc"], ["mcsc", "up"])
