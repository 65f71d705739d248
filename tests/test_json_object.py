from __future__ import annotations

from pathlib import Path

import pytest

from fewlabel.json_object import read_json_object


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", r"note\.json: no valid JSON \(.*\); restore it"),
        (b"[1]", r"note\.json: expected a JSON object, found list; restore it"),
        (b'{"a": {"b": 1, "b": 2}}', r"note\.json: gives the key 'b' twice; remove one"),
        (b'{"a": NaN}', r"note\.json: NaN is no JSON; write a number, or null"),
        (b"\xff\xfe", r"note\.json: no text in UTF-8 .*; save it as UTF-8, or restore it"),
        (b'{"a": ' * 100_000, r"note\.json: no valid JSON"),
    ],
)
def test_what_is_no_object_is_refused_with_the_file_and_the_fix(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "note.json").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_json_object(tmp_path / "note.json", "restore it")


def test_an_object_is_read_from_a_file_or_a_text(tmp_path: Path) -> None:
    file = tmp_path / "note.json"
    file.write_text('{"rate": 5e-4}')
    assert read_json_object(file) == read_json_object(file, text='{"rate": 0.0005}') == {"rate": 5e-4}
    assert read_json_object(file, parse_float=lambda literal: float(len(literal))) == {"rate": 4.0}


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.json: no such file"):
        read_json_object(tmp_path / "none.json")
