from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from fewlabel.data.streams import cached_array
from fewlabel.data.streams.cached_array import is_whole, write_array


@pytest.fixture(params=[7, 1 << 22], ids=["blocks of 7 bytes", "one block"])
def file(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cached_array, "_BLOCK", request.param)
    write_array(tmp_path / "volume.npy", np.arange(60, dtype=np.float32).reshape(3, 4, 5))
    return tmp_path / "volume.npy"


def test_an_array_is_read_back_and_whole(file: Path) -> None:
    for mode in (None, "r", "c"):
        np.testing.assert_array_equal(np.load(file, mmap_mode=mode), np.arange(60).reshape(3, 4, 5))
    assert is_whole(file)


def test_a_file_cut_anywhere_is_not_whole(file: Path) -> None:
    content = file.read_bytes()
    for length in range(len(content)):
        file.write_bytes(content[:length])
        assert not is_whole(file), length


def test_a_bit_changed_anywhere_is_noticed(file: Path) -> None:
    content = file.read_bytes()
    for place in range(len(content)):
        for bit in (1, 128):
            changed = bytearray(content)
            changed[place] ^= bit
            file.write_bytes(changed)
            assert not is_whole(file), place


def test_what_is_appended_and_what_another_program_wrote_is_not_whole(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content + b"\n")
    assert not is_whole(file)
    np.save(file, np.zeros(60))
    assert not is_whole(file)
    os.truncate(file, 0)
    assert not is_whole(file)
