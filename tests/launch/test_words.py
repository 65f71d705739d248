from __future__ import annotations

from typing import Any

import fire
import pytest
from monai.bundle import ConfigParser

from fewlabel.launch.words import as_typed


def arrives(key: str, value: str) -> Any:
    """What a config gets of a value that goes through Fire and MONAI's parser."""
    override: dict[str, Any] = {}
    fire.Fire({"run": lambda **given: override.update(given)}, command=["run", f"--{key}", as_typed(f"--{key}", value)])
    parser = ConfigParser({"a": {"b": "before", "name": "before"}, "dataset_dir": "before", "split": "before"})
    parser.update(pairs=override)
    return parser.get_parsed_content(key)


@pytest.mark.parametrize("key", ["dataset_dir", "a#name"])
@pytest.mark.parametrize(
    "path",
    [
        "2024_02_02", "1234", "0x10", "1e3", "True", "c#1", "1234#5", "/data/c#1/scans", "a b/c d", "München/心",
        "a,b", "(a)", "it's", "-1", "~/data", "C:\\data", "a-b", "2024-02-02", "a=b", "it's#1", "s #1@x", "c#50%",
        "[x]", "{x}", "['a', 'b']", "None", "null", "true", "1e5", "a = b",
    ],
)  # fmt: skip
def test_a_path_or_name_arrives_as_typed(key: str, path: str) -> None:
    assert arrives(key, path) == path


@pytest.mark.parametrize("word", ["c#1", "test", "(a)", "a b"])
def test_a_word_arrives_as_typed_at_any_key(word: str) -> None:
    assert arrives("split", word) == word


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("7", 7), ("-1", -1), ("40_000", 40000), ("2.5e-4", 2.5e-4), ("True", True), ("true", "true"),
        ("[1, 2]", [1, 2]), ("[1,[a,b]]", [1, ["a", "b"]]), ("{'1': 8, '8': 4}", {"1": 8, "8": 4}), ("1,2", (1, 2)),
        ("'7'", "7"), ("$1 + 2", 3), ("@dataset_dir", "before"),
    ],
)  # fmt: skip
def test_a_number_list_or_reference_is_what_the_long_form_makes_of_it(typed: str, value: object) -> None:
    assert arrives("a#b", typed) == value
    assert as_typed("--a#b", typed) == typed


@pytest.mark.parametrize("typed", ["'2024'", "$@bundle_root + '/x'", "%file.json#key"])
def test_at_a_path_too_quotes_and_references_go_on_unchanged(typed: str) -> None:
    assert as_typed("--dataset_dir", typed) == typed
