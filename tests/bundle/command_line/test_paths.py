from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
from fire.parser import DefaultParseValue
from monai.bundle import ConfigParser

from fewlabel.bundle.command_line.paths import require_paths_as_typed


def check(key: str, text: str) -> None:
    require_paths_as_typed({key: DefaultParseValue(text)}, {key: text})


@pytest.mark.parametrize("text", ["1234", "2024_02_02", "1e3", "a,b", "(a)", "{a}", "[a]", "True", "0x1f"])
@pytest.mark.parametrize("key", ["dataset_dir", "checkpoint", "evaluation#checkpoints#best", "handlers::1::path"])
def test_a_path_that_is_read_as_python_is_refused_and_can_be_written_otherwise(key: str, text: str) -> None:
    with pytest.raises(ValueError, match=rf"^--{key} {re.escape(text)}: .* where a path must be; write \./"):
        check(key, text)
    check(key, f"./{text}")
    check(key, f"/data/{text}")
    check(key, f"'{text}'")


def reaching(text: str) -> Any:
    """What a config gets of a word on the command line."""
    parser = ConfigParser({"dataset_dir": DefaultParseValue(text)})
    parser.parse()
    return parser.get_parsed_content("dataset_dir")


@pytest.mark.parametrize("text", ["c#1", "./c#1", "/data/c#1", "'c#1'"])
def test_a_number_sign_in_a_path_is_refused_and_can_be_written_otherwise(text: str) -> None:
    assert "#" not in reaching(text)
    with pytest.raises(ValueError, match="reads # in a path as a comment or as ::; write --dataset_dir") as caught:
        check("dataset_dir", text)
    _, _, written = shlex.split(str(caught.value).partition("; ")[2])
    assert reaching(written) == text.strip("'")
    check("dataset_dir", written)
    check("dataset_dir", repr(written))


def test_none_is_refused_as_monai_leaves_the_setting_as_it_is() -> None:
    with pytest.raises(ValueError, match=r"--ckpt_dir None: monai.bundle ignores None; leave the option out"):
        check("ckpt_dir", "None")


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("dataset_dir", "/data/a folder, with (signs)"),
        ("dataset_dir", "a-1"),
        ("dataset_dir", ""),
        ("output_dir", "$@bundle_root + '/eval#1'"),
        ("paper#text", "openai/clip-vit-base-patch32"),
        ("text_weight", "0.5"),
        ("labeled_cases", "3"),
        ("paper#patch_sizes", "{'1': 8}"),
    ],
)
def test_everything_else_passes(key: str, text: str) -> None:
    check(key, text)
