from __future__ import annotations

from pathlib import Path

import pytest

from fewlabel.json_files import read_json


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1,\n"b"}', r"a\.json is not valid JSON: .*line 2 column"),
        (b"", r"a\.json is not valid JSON: "),
        (b"\xff\xfe{}", r"a\.json is not valid JSON: no text in UTF-8"),
        (b"[" * 100_000, r"a\.json is not valid JSON: lists and objects are nested more than 100 levels deep"),
        (b'{"a":' * 200_000 + b"1" + b"}" * 200_000, r"nested more than 100 levels deep; write it flat"),
        (b"[" * 101 + b"]" * 101, r"nested more than 100 levels deep"),
        (b'{"a": {"b": 1, "b": 1}}', r"a\.json gives the key 'b' twice: remove one of them"),
        (b'{"%s": 1, "%s": 2}' % (b"k" * 1_000_000, b"k" * 1_000_000), r"gives the key 'kkk.* characters left out"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_short_line_with_the_file(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_json(tmp_path / "a.json")
    assert str(tmp_path / "a.json") in str(caught.value)
    assert len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"[1, 2]", b"\xef\xbb\xbf[1, 2]", b"[" * 99 + b"]" * 99])
def test_sound_json_is_read(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(content)
    assert read_json(tmp_path / "a.json") in ([1, 2], eval(content) if content[2:3] == b"[" else None)


def test_a_link_is_told_from_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "a.json").symlink_to("../.git/annex/objects/Xq/a.json")
    with pytest.raises(FileNotFoundError, match=r"a\.json is a link .* fetch it with `datalad get "):
        read_json(tmp_path / "a.json")
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "b.json")
