from __future__ import annotations

from pathlib import Path

import pytest

from fewlabel.links import absence, is_broken_link, require_content

ANNEX = ".git/annex/objects/0K/w1/SHA256E-s1048576--0b8f.nii.gz/SHA256E-s1048576--0b8f.nii.gz"


@pytest.mark.parametrize(
    ("target", "fix"),
    [
        (ANNEX, "fetch it with `datalad get {path}` or `git annex get {path}`, or remove it"),
        (f"../../{ANNEX}", "fetch it with `datalad get {path}` or `git annex get {path}`, or remove it"),
        ("/mnt/unmounted/a.nii.gz", "restore what it points to, or remove the link"),
        ("a.nii.gz", "restore what it points to, or remove the link"),  # to itself
    ],
)
def test_a_link_that_points_nowhere_is_told_with_how_to_fetch_it(target: str, fix: str, tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    path.symlink_to(target)
    assert is_broken_link(path)
    with pytest.raises(FileNotFoundError) as caught:
        require_content(path)
    assert str(caught.value) == f"{path} is a link to {target}, which does not exist: {fix.format(path=path)}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"/annex/objects/SHA256E-s1048576--0b8f.nii.gz\n", "of git-annex instead of its content: .*`datalad get "),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n",
            "of Git LFS instead .*`git lfs pull --include",
        ),
    ],
)
def test_a_pointer_is_no_content(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").write_bytes(content)
    with pytest.raises(FileNotFoundError, match=rf"a\.nii\.gz holds a pointer {message}"):
        require_content(tmp_path / "a.nii.gz")


def test_a_link_further_up_is_named(tmp_path: Path) -> None:
    (tmp_path / "imagesTr").symlink_to("/mnt/unmounted")
    assert absence(tmp_path / "imagesTr" / "a.nii.gz").startswith("is a link to /mnt/unmounted")


def test_what_is_there_or_never_was_is_no_link(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"content")
    (tmp_path / "b").symlink_to("a")
    for name in ("a", "b", "c", "."):
        require_content(tmp_path / name)
        assert not is_broken_link(tmp_path / name)
