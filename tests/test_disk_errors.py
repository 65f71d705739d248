from __future__ import annotations

import errno
import os
from collections import namedtuple
from pathlib import Path

import pytest

from fewlabel import disk_errors
from fewlabel.disk_errors import DiskFullError, cannot_write, disk_full, is_full

Disk = namedtuple("Disk", "f_bavail f_frsize f_blocks f_files f_favail")
USED_UP = Disk(f_bavail=3, f_frsize=4096, f_blocks=500, f_files=100, f_favail=90)


@pytest.fixture
def disk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_errors.os, "statvfs", lambda place: getattr(request, "param", USED_UP))


@pytest.mark.usefixtures("disk")
@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.ENOSPC, "it did not fit on {mount}, where 12.3 kB of 2.0 MB are free"),
        (errno.EDQUOT, "your quota on {mount} is used up; on the disk itself 12.3 kB of 2.0 MB are free"),
        (errno.EFBIG, "files there may not grow that large (ulimit -f, or the file system's limit)"),
    ],
)
def test_the_line_names_the_file_what_is_full_and_how_much_is_free(tmp_path: Path, code: int, reason: str) -> None:
    file = tmp_path / "not yet" / "there.pt"
    refusal = OSError(code, os.strerror(code))
    assert is_full(refusal)
    mount = next(str(folder) for folder in tmp_path.resolve().parents if os.path.ismount(folder))
    said = str(disk_full(file, refusal))
    assert said.startswith(f"{file}: not written, {reason.format(mount=mount)}")
    assert said.endswith("what was there before is as it was; make room, or choose another folder")


@pytest.mark.usefixtures("disk")
@pytest.mark.parametrize("disk", [USED_UP._replace(f_favail=0)], indirect=True)
def test_a_disk_without_inodes_is_not_called_full_of_bytes(tmp_path: Path) -> None:
    said = str(disk_full(tmp_path / "file", OSError(errno.ENOSPC, "No space left on device")))
    assert "takes no more files: all its 100 inodes are used" in said


@pytest.mark.parametrize("error", [OSError(errno.EACCES, "Permission denied"), ValueError("full"), None])
def test_other_errors_are_none_of_room(error: BaseException | None) -> None:
    assert not is_full(error)


def test_a_folder_where_nothing_fits_and_one_that_refuses_are_told_apart(tmp_path: Path) -> None:
    assert isinstance(cannot_write(tmp_path, OSError(errno.ENOSPC, "No space left on device")), DiskFullError)
    refusal = cannot_write(tmp_path, OSError(errno.EROFS, "Read-only file system"))
    assert isinstance(refusal, PermissionError)
    assert str(refusal).startswith(f"{tmp_path}: can't write there (Read-only file system); choose another folder")
