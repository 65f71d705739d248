from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from fewlabel.data.files import capacity, volumes
from fewlabel.data.files.capacity import available_memory
from fewlabel.data.files.volumes import read_channels, read_header, read_volume, verify_checksum
from fewlabel.transforms import LoadCased

MIB = 1 << 20


def claim(path: Path, *shape: int, voxels: int = 100, before: float = 352) -> Path:
    """A NIfTI file of bytes whose header claims a shape, with as many voxels as are said."""
    header = nib.Nifti1Header()
    header.set_data_dtype(np.uint8)
    header.set_data_shape(shape)
    header["vox_offset"], header["magic"], header["sform_code"] = before, b"n+1", 1
    header["srow_x"], header["srow_y"], header["srow_z"] = np.eye(4)[:3]
    content = header.binaryblock + b"\0" * 4 + b"\1" * voxels
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
    return path


@pytest.fixture
def gigabyte(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which 1 GB is free."""
    monkeypatch.setattr(capacity, "available_memory", lambda: 10**9)


def test_the_memory_of_this_machine_is_told() -> None:
    assert (available_memory() or 0) > 10**7


@pytest.mark.usefixtures("gigabyte")
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize(
    ("shape", "needed"),
    [((30000,) * 3, "135 TB"), ((600,) * 3, "1.08 GB"), ((60, 60, 60, 1200), "1.3 GB")],
)
def test_voxels_beyond_memory_are_refused_by_the_header_with_what_they_take(
    shape: tuple[int, ...], needed: str, ending: str, tmp_path: Path
) -> None:
    file = claim(tmp_path / f"huge{ending}", *shape)
    claimed = " x ".join(map(str, shape))
    for read in (read_header, read_volume, read_channels, lambda path: LoadCased()({"image": str(path)})):
        with pytest.raises(ValueError, match=rf"huge{ending} would take {needed} of memory, .*claims {claimed} voxels"):
            read(file)


@pytest.mark.usefixtures("gigabyte")
@pytest.mark.parametrize("ending", [".mha", ".nrrd"])
def test_other_formats_are_refused_by_the_header_too(ending: str, tmp_path: Path) -> None:
    sitk = pytest.importorskip("SimpleITK")
    file = tmp_path / f"huge{ending}"
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((9, 9, 9), np.uint8)), str(file))
    content = file.read_bytes()
    assert b" 9 9 9" in content
    file.write_bytes(content.replace(b" 9 9 9", b" 30000 30000 30000", 1))
    for read in (read_header, read_volume, lambda path: LoadCased()({"image": str(path)})):
        with pytest.raises(ValueError, match=rf"huge{ending} would take .* TB of memory"):
            read(file)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_a_file_too_small_for_its_header_is_refused_without_taking_the_memory(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capacity, "available_memory", lambda: None)  # as on a machine that does not tell
    file = claim(tmp_path / f"huge{ending}", 1000, 1000, 1000)
    for read in (read_volume, lambda path: LoadCased()({"image": str(path)})):
        tracemalloc.start()
        with pytest.raises(ValueError, match=rf"huge{ending} is truncated or corrupt: .*1000 x 1000 x 1000 voxels"):
            read(file)
        assert tracemalloc.get_traced_memory()[1] < 10 * MIB
        tracemalloc.stop()


class Counted(gzip.GzipFile):
    unpacked = 0

    def read(self, size: int | None = -1) -> bytes:
        block = super().read(size)
        Counted.unpacked += len(block)
        return block


def test_a_bomb_behind_the_voxels_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = claim(tmp_path / "bomb.nii.gz", 10, 10, 1)
    with open(bomb, "ab") as stream:
        stream.write(gzip.compress(b"\0" * MIB, mtime=0) * 4000)  # 4 MB that unpack to 4 GB
    assert bomb.stat().st_size < 5 * MIB
    assert read_volume(bomb)[0].shape == (10, 10, 1)
    monkeypatch.setattr(volumes.gzip, "open", lambda path: Counted(path))
    Counted.unpacked = 0
    with pytest.raises(ValueError, match=r"bomb\.nii\.gz goes on behind its voxels, which end after 452 bytes"):
        verify_checksum(bomb)
    assert Counted.unpacked < 4 * MIB


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("before", [3e9, float("inf"), float("nan")])
def test_gigabytes_between_header_and_voxels_are_not_read(before: float, ending: str, tmp_path: Path) -> None:
    file = claim(tmp_path / f"a{ending}", 10, 10, 1, before=before)
    with pytest.raises(ValueError, match=rf"a{ending} is truncated or corrupt: .* lie before the voxels"):
        read_header(file)


def outcome(read: Any, file: Path) -> str:
    try:
        read(file)
        return "read"
    except ValueError as error:
        message = str(error)
    assert str(file) in message
    assert len(message) < 2000
    return "refused"


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_whatever_a_header_says_a_file_is_read_or_refused_by_name(ending: str, tmp_path: Path) -> None:
    whole = gzip.decompress(claim(tmp_path / "whole.nii.gz", 5, 4, 3, voxels=60).read_bytes())
    random = np.random.default_rng(0)
    file = tmp_path / f"spoiled{ending}"
    seen = set()
    for _ in range(300):
        content = bytearray(whole)
        for place in random.integers(0, 348, random.integers(1, 6)):
            content[place] = random.integers(0, 256)
        file.write_bytes(gzip.compress(bytes(content), 1, mtime=0) if ending == ".nii.gz" else bytes(content))
        seen |= {outcome(read, file) for read in (read_header, read_volume, read_channels, verify_checksum)}
    assert seen == {"read", "refused"}
