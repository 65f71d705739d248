from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fewlabel.atomic import atomic_folder, atomic_open, atomic_write, remove_leftovers, require_writable
from fewlabel.folder_lock import LOCK_FILE
from helpers.paths import environment


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


WRITERS = {
    "bytes": "stream.write(bytes(300_000))",
    "torch.save": "import torch; torch.save({'weights': torch.zeros(100_000)}, stream)",
    "numpy.save": "import numpy; numpy.save(stream, numpy.zeros(100_000))",
}


@pytest.mark.parametrize("writer", WRITERS)
def test_whatever_writes_the_file_the_line_says_that_it_did_not_fit(tmp_path: Path, writer: str) -> None:
    target = tmp_path / "state"
    target.write_bytes(b"old")
    program = f"""
import resource
from fewlabel.atomic import atomic_open
from fewlabel.disk_errors import DiskFullError
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    with atomic_open({str(target)!r}) as stream:
        {WRITERS[writer]}
except DiskFullError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], env=environment(), capture_output=True, text=True)
    assert done.stdout.startswith(f"{target}: not written, files there may not grow that large"), done.stderr
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_an_interrupt_that_a_writer_covers_with_its_own_error_stays_an_interrupt(tmp_path: Path) -> None:
    def write() -> None:
        with atomic_open(tmp_path / "state"):
            try:
                raise SystemExit(130)
            finally:
                raise RuntimeError("unexpected pos 64 vs 0")

    with pytest.raises(SystemExit):
        write()
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_the_disk_names_the_file(tmp_path: Path) -> None:
    with (
        pytest.raises(OSError, match=r"state: not written \(Input/output error\); what was there before"),
        atomic_open(tmp_path / "state"),
    ):
        raise OSError(errno.EIO, "Input/output error")


def test_a_folder_appears_when_all_is_in_it_and_leaves_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "data set"
    with atomic_folder(target) as partial:
        atomic_write(partial / "images" / "scan", b"voxels")
        assert not target.exists()
    assert [path.relative_to(target) for path in target.rglob("*")] == [Path("images"), Path("images/scan")]
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
def test_a_folder_that_breaks_off_does_not_appear(tmp_path: Path, error: type[BaseException]) -> None:
    def break_off() -> None:
        with atomic_folder(tmp_path / "data set") as partial:
            (partial / "file").write_bytes(b"half")
            raise error

    with pytest.raises(error):
        break_off()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_full_already_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").write_bytes(b"old")
    with pytest.raises(OSError, match="not empty"), atomic_folder(tmp_path / "there"):
        pass
    assert [path.name for path in tmp_path.rglob("*")] == ["there", "file"]


def test_what_dead_writers_of_a_folder_left_goes_and_what_living_ones_fill_stays(tmp_path: Path) -> None:
    dead, another = tmp_path / ".out.0123456789ab.partial", tmp_path / ".other.0123456789ab.partial"
    for folder in (dead, another):
        folder.mkdir()
        (folder / LOCK_FILE).write_bytes(b"")
    with atomic_folder(tmp_path / "out") as living:
        assert not dead.exists()
        assert another.exists()
        assert subprocess.run(
            [
                sys.executable, "-c",
                "import sys; from fewlabel.atomic import atomic_folder\nwith atomic_folder(sys.argv[1]): pass",
                str(tmp_path / "out"),
            ],
            env=environment(),
        ).returncode == 0  # fmt: skip
        assert living.exists()
        (tmp_path / "out").rmdir()
    assert (tmp_path / "out").is_dir()


def test_leftovers_of_dead_writers_go_and_nothing_else(tmp_path: Path) -> None:
    below = tmp_path / "predictions" / "best"
    below.mkdir(parents=True)
    left = [folder / ".state.pt.0123456789ab.partial" for folder in (tmp_path, below)]
    others = [tmp_path / name for name in ("state.pt", ".state.pt.partial", "state.0123456789ab.partial", ".hidden")]
    for file in (*left, *others):
        file.write_bytes(b"half")
    with subprocess.Popen(
        [sys.executable, "-c", WAIT_IN_A_WRITE, str(below / "living")],
        env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as writer:  # fmt: skip
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"writing\n"
        remove_leftovers(tmp_path)
        writer.communicate(b"go on\n")
    assert (below / "living").read_bytes() == b"half"
    assert not any(file.exists() for file in left)
    assert all(file.exists() for file in others)


WAIT_IN_A_WRITE = """
import sys
from fewlabel.atomic import atomic_open
with atomic_open(sys.argv[1]) as stream:
    stream.write(b"half")
    print("writing", flush=True)
    sys.stdin.readline()
"""


def test_a_folder_is_tried_before_there_is_anything_to_write(tmp_path: Path) -> None:
    require_writable(tmp_path / "not" / "yet")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_bytes(b"in the way")
    with pytest.raises(PermissionError, match="yet: can't write there"):
        require_writable(tmp_path / "file" / "yet")
