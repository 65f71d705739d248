from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from fewlabel.launch import copy_bundle


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_copy_has_configs_docs_and_license_and_not_what_runs_left(checkout: Path, tmp_path: Path) -> None:
    bundle = checkout / "bundles" / "one"
    wanted = files(bundle)
    for stray in ("models/model.pt", "eval/scores.csv", "recipe.json", "configs/.hidden", "docs/__pycache__/a.pyc"):
        (bundle / stray).parent.mkdir(exist_ok=True)
        (bundle / stray).write_text("stray")
    copy = copy_bundle("one", tmp_path / "new" / "folder")
    assert copy == tmp_path / "new" / "folder" / "one"
    assert files(copy) == wanted
    assert all((copy / name).read_bytes() == (bundle / name).read_bytes() for name in wanted)


def test_a_copy_of_read_only_files_can_be_edited(installed: Path, tmp_path: Path) -> None:
    for path in (installed / "_bundles" / "one").rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    copy = copy_bundle("one", tmp_path)
    assert all(path.stat().st_mode & 0o200 for path in [copy, *copy.rglob("*")])


@pytest.mark.parametrize("there", ["folder", "file", "broken link"])
def test_what_is_there_is_neither_replaced_nor_changed(there: str, checkout: Path, tmp_path: Path) -> None:
    target = tmp_path / "one"
    {"folder": target.mkdir, "file": target.touch, "broken link": lambda: target.symlink_to("nowhere")}[there]()
    with pytest.raises(FileExistsError, match="one exists; name another directory, or rename what is there"):
        copy_bundle("one", tmp_path)
    assert os.path.lexists(target)
    assert not list(tmp_path.glob(".one.*"))


def test_a_copy_that_fails_halfway_leaves_nothing(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied: list[Path] = []

    def full_after_two(source: Path, target: Path) -> None:
        if len(copied) == 2:
            raise OSError(28, "No space left on device")
        copied.append(target)
        target.touch()

    monkeypatch.setattr(shutil, "copyfile", full_after_two)
    with pytest.raises(OSError, match=r"new/one: not written, it did not fit on .* are free; .* choose another folder"):
        copy_bundle("one", tmp_path / "new")
    assert len(copied) == 2
    assert files(tmp_path / "new") == []
    assert not list((tmp_path / "new").iterdir())


def test_a_directory_that_is_a_file_is_an_error(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"can't write the copy .*; choose another directory"):
        copy_bundle("one", tmp_path / "file")
