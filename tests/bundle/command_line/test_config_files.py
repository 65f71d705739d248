from __future__ import annotations

from pathlib import Path

import pytest

from fewlabel.bundle.command_line.config_files import load_config


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", b'{"a": 1,\n\n"b": }', r"a\.json is not valid JSON: .*line 3"),
        ("a.json", b'{"a": {"b": 1, "c": 2, "b": 1}}', r"a\.json gives the key 'b' twice: remove one"),
        ("a.json", b"[" * 100_000, r"a\.json is not valid JSON: .* nested more than 100 levels"),
        ("a.json", b'{"a": ' * 300 + b"1" + b"}" * 300, r"a\.json is not valid JSON: .* nested more than 100 levels"),
        ("a.json", b"\xef\xbb\xbf{}", r"a\.json begins with a byte order mark, which MONAI does not read"),
        ("a.json", b"[1]", r"a\.json holds a list; a config is one object"),
        ("a.yaml", b"a: [1", r"a\.yaml is not valid YAML: .*line 1"),
        ("a.yaml", b"a: 1\nb: 2\na: 3", r"a\.yaml is not valid YAML: Duplicate key: `a`"),
        ("a.yaml", b"[" * 3000, r"a\.yaml is not valid YAML"),
        ("a.yml", b"- 1", r"a\.yml holds a list"),
    ],
)
def test_a_config_that_monai_would_misread_is_one_line_with_its_name(
    name: str, content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        load_config(str(tmp_path / name))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(("name", "content"), [("a.json", '{"a": [1, {"b": null}]}'), ("a.yaml", "a: [1, {b: null}]")])
def test_a_sound_config_is_what_it_says(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    assert load_config(str(tmp_path / name)) == {"a": [1, {"b": None}]}


def test_a_link_that_points_nowhere_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").symlink_to(".git/annex/objects/x")
    with pytest.raises(FileNotFoundError, match=r"a\.json is a link .* fetch it with `datalad get "):
        load_config(str(tmp_path / "a.json"))
