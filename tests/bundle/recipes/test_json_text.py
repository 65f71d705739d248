from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from fewlabel.bundle.recipes.json_text import Numeral, format_json, read_json

ROOT = Path(__file__).parents[3]
CONFIGS = sorted(ROOT.glob("bundles/*/configs/*.json")) + sorted(ROOT.glob("shared/base_configs/*/*.json"))


def parsed(text: str) -> dict[str, Any]:
    return read_json(Path("test.json"), text)


@pytest.mark.parametrize("literal", ["5e-4", "1e-3", "0.0005", "1.0", "2.50", "-1E+2", "0.1"])
def test_a_number_is_written_as_it_was_read(literal: str) -> None:
    content = parsed(f'{{"rate": {literal}}}')
    assert content["rate"] == float(literal)
    assert format_json(content) == f'{{\n  "rate": {literal}\n}}\n'


def test_copies_of_a_number_keep_its_spelling() -> None:
    number = Numeral("5e-4")
    assert copy.deepcopy({"a": [number]})["a"][0].literal == "5e-4"
    assert copy.copy(number).literal == "5e-4"


def test_whole_numbers_truth_values_null_and_letters_beyond_ascii_survive() -> None:
    text = '{\n  "n": 60000,\n  "on": true,\n  "none": null,\n  "name": "Lovász",\n  "empty": [],\n  "nothing": {}\n}\n'
    assert format_json(parsed(text)) == text


def test_small_objects_stand_on_one_line_and_larger_ones_are_filled() -> None:
    long = {f"key_{n}": "x" * 20 for n in range(6)}
    assert format_json(
        {"short": {"a": 1, "b": [1, 2]}, "long": {"_target_": "T", **long, "inner": {"a": 1}, "z": 2}}
    ) == (
        "{\n"
        '  "short": {"a": 1, "b": [1, 2]},\n'
        '  "long": {\n'
        '    "_target_": "T", "key_0": "xxxxxxxxxxxxxxxxxxxx", "key_1": "xxxxxxxxxxxxxxxxxxxx",'
        ' "key_2": "xxxxxxxxxxxxxxxxxxxx",\n'
        '    "key_3": "xxxxxxxxxxxxxxxxxxxx", "key_4": "xxxxxxxxxxxxxxxxxxxx", "key_5": "xxxxxxxxxxxxxxxxxxxx",\n'
        '    "inner": {"a": 1},\n'
        '    "z": 2\n'
        "  }\n"
        "}\n"
    )


def test_a_list_of_objects_that_does_not_fit_has_one_object_per_line() -> None:
    items = [{"_target_": "A" * 50}, {"_target_": "B" * 50}]
    lines = format_json({"transforms": items}).splitlines()
    assert lines[1:] == [
        '  "transforms": [',
        f'    {{"_target_": "{"A" * 50}"}},',
        f'    {{"_target_": "{"B" * 50}"}}',
        "  ]",
        "}",
    ]


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_a_line_of_120_columns_fits_and_one_of_121_is_broken(extra: int) -> None:
    frame = len('  "a": ["", ""],')
    first = "x" * 50
    second = "y" * (120 - frame - 50 + extra)
    longest = max(map(len, format_json({"a": [first, second], "b": 1}).splitlines()))
    assert longest == (120 + extra if extra <= 0 else len(f'    "{first}", "{second}"'))


def test_what_marks_a_component_comes_first_in_its_object() -> None:
    assert format_json({"a": {"x": 1, "_target_": "T", "_mode_": "callable"}}) == (
        '{\n  "a": {"_target_": "T", "_mode_": "callable", "x": 1}\n}\n'
    )


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: f"{file.parts[-3]}-{file.stem}")
def test_formatting_keeps_the_content_fits_120_columns_and_is_stable(file: Path) -> None:
    text = format_json(read_json(file))
    assert json.loads(text) == json.loads(file.read_text())
    assert max(map(len, text.splitlines())) <= 120
    assert format_json(parsed(text)) == text


def test_a_key_that_is_given_twice_is_refused_with_the_file() -> None:
    with pytest.raises(ValueError, match=r"test\.json: gives the key 'b' twice; remove one"):
        parsed('{"a": {"b": 1, "b": 2}}')


def test_broken_json_is_refused_with_the_file_and_the_place() -> None:
    with pytest.raises(ValueError, match=r"test\.json: no valid JSON \(Expecting .*line 1"):
        parsed('{"a": }')


def test_a_list_is_no_config() -> None:
    with pytest.raises(ValueError, match=r"test\.json: expected a JSON object, found list"):
        parsed("[]")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.json: no such file"):
        read_json(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"name": "caf\xe9"}', r"recipe\.json: no text in UTF-8 .*; save it as UTF-8"),
        (b'{"a": NaN}', r"recipe\.json: NaN is no JSON; write a number, or null"),
        (b'{"a": ' * 100_000, r"recipe\.json: no valid JSON"),
    ],
)
def test_what_is_no_json_is_refused_with_the_file(content: bytes, message: str, tmp_path: Path) -> None:
    file = tmp_path / "recipe.json"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_json(file)
