from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fewlabel.data.files.checksums import file_checksum, files_of, scan_checksum

MB = 1 << 20


def write(path: Path, size: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(np.random.default_rng(0).bytes(size))
    return path


def flip(path: Path, place: int) -> None:
    with path.open("r+b") as stream:
        stream.seek(place)
        byte = stream.read(1)
        stream.seek(place)
        stream.write(bytes([byte[0] ^ 1]))


def test_the_same_content_at_another_place_under_another_name_is_the_same(tmp_path: Path) -> None:
    one, other = write(tmp_path / "a" / "one.nii", 100), write(tmp_path / "b" / "other.nii", 100)
    assert scan_checksum(str(one)) == scan_checksum([str(other)])


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("place", [0, 50, 99])
def test_one_bit_of_a_file_of_usual_size_makes_a_difference(tmp_path: Path, place: int, whole: bool) -> None:
    file = write(tmp_path / "one.nii", 100)
    before = file_checksum(file, whole)
    flip(file, place)
    assert file_checksum(file, whole) != before


def test_of_a_large_image_pieces_from_its_first_byte_to_its_last_count_and_of_a_label_map_all(tmp_path: Path) -> None:
    file = tmp_path / "large.nii"
    with file.open("wb") as stream:
        stream.truncate(100 * MB)
    sampled, whole = file_checksum(file, whole=False), file_checksum(file)
    # 32 pieces of 1 MiB begin 99 / 31 = 3.19 MiB apart: 2 MiB lies between two of them
    for place, seen in ((0, True), (100 * MB - 1, True), (2 * MB, False)):
        flip(file, place)
        assert (file_checksum(file, whole=False) != sampled) is seen
        assert file_checksum(file) != whole
        flip(file, place)
    with file.open("r+b") as stream:
        stream.truncate(100 * MB + 1)
    assert file_checksum(file, whole=False) != sampled


def test_a_scan_is_all_files_of_its_series_or_of_its_header(tmp_path: Path) -> None:
    series = [write(tmp_path / "series" / f"{number}.dcm", 10) for number in range(3)]
    assert files_of(str(tmp_path / "series")) == series
    header, raw = write(tmp_path / "scan.mhd", 10), write(tmp_path / "scan.raw", 20)
    write(tmp_path / "other.raw", 20)
    assert files_of(str(header)) == [header, raw]
    before = scan_checksum(str(header))
    flip(raw, 3)
    assert scan_checksum(str(header)) != before
