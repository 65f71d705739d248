from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from fewlabel.atomic import atomic_open, atomic_write


def test_a_file_appears_whole_in_a_folder_made_for_it(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "weights.pt"
    atomic_write(target, b"all of it")
    assert target.read_bytes() == b"all of it"
    assert list(target.parent.iterdir()) == [target]


def test_nothing_shows_before_the_last_byte_is_written(tmp_path: Path) -> None:
    target = tmp_path / "state"
    target.write_bytes(b"old")
    with atomic_open(target) as stream:
        stream.write(b"new")
        stream.flush()
        assert target.read_bytes() == b"old"
    assert target.read_bytes() == b"new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_write_that_breaks_off_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, error: type[BaseException]
) -> None:
    target = tmp_path / "state"
    target.write_bytes(b"old")

    def break_off() -> None:
        with atomic_open(target) as stream:
            stream.write(b"half")
            raise error

    with pytest.raises(error):
        break_off()
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")
def test_a_process_killed_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "state"
    target.write_bytes(b"old")
    child = os.fork()
    if child == 0:
        with atomic_open(target) as stream:
            stream.write(b"half")
            stream.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert target.read_bytes() == b"old"
    assert not [path for path in tmp_path.iterdir() if path != target and not path.name.startswith(".")]
    atomic_write(target, b"new")  # what the killed process left is in nobody's way
    assert target.read_bytes() == b"new"


def test_threads_that_write_one_file_do_not_mix(tmp_path: Path) -> None:
    target, gate = tmp_path / "state", threading.Barrier(4)
    contents = [bytes([letter]) * 50_000 for letter in b"abcd"]

    def write(content: bytes) -> None:
        with atomic_open(target) as stream:
            gate.wait(30)
            for start in range(0, len(content), 1000):
                stream.write(content[start : start + 1000])

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert target.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_that_cannot_be_written_to_is_named_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"in the way")
    with (
        pytest.raises(
            PermissionError, match=r"file: can't write there \(.*\); choose another folder with --output_dir"
        ),
        atomic_open(tmp_path / "file" / "state"),
    ):
        pytest.fail("nothing to write to")


def test_a_name_that_is_too_long_is_not_blamed_on_the_folder(tmp_path: Path) -> None:
    name = "n" * 240 + ".nii.gz"
    with pytest.raises(ValueError, match=rf"{name}: the file system takes no name that long, .* 22 characters more"):
        atomic_write(tmp_path / name, b"content")
    assert list(tmp_path.iterdir()) == []
    atomic_write(tmp_path / name[-230:], b"content")
