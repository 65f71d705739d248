from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from typing import Any

import pytest
from fire.parser import DefaultParseValue
from monai.bundle import ConfigParser

from fewlabel.bundle.command_line.paths import require_texts_as_typed
from fewlabel.bundle.command_line.run_command import parse_run_command


def check(key: str, text: str) -> None:
    require_texts_as_typed({key: DefaultParseValue(text)}, {key: text})


@pytest.mark.parametrize("text", ["1234", "2024_02_02", "1e3", "a,b", "(a)", "{a}", "[a]", "True", "0x1f"])
@pytest.mark.parametrize("key", ["dataset_dir", "checkpoint", "evaluation#checkpoints#best", "handlers::1::path"])
def test_a_path_that_is_read_as_python_is_refused_and_can_be_written_otherwise(key: str, text: str) -> None:
    reads = r"no value follows" if text == "True" else r".* where a path or name must be; write"
    with pytest.raises(ValueError, match=rf"^--{key}( {re.escape(text)})?: {reads}") as caught:
        check(key, text)
    _, written, *_ = shlex.split(str(caught.value).partition("write ")[2])
    assert reaching(written) == text
    check(key, written)
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
        ("dataset_dir", "a=b"),
        ("dataset_dir", "true"),
        ("evaluation#title", "'7'"),
        ("output_dir", "$@bundle_root + '/eval#1'"),
        ("paper#text", "openai/clip-vit-base-patch32"),
        ("text_weight", "0.5"),
        ("labeled_cases", "3"),
        ("paper#patch_sizes", "{'1': 8}"),
    ],
)
def test_everything_else_passes(key: str, text: str) -> None:
    check(key, text)


@pytest.mark.parametrize("key", ["evaluation#title", "dataset_dir", "paper#text"])
@pytest.mark.parametrize("text", ["2024", "a, b", "'a' + 1"])
@pytest.mark.parametrize("form", [lambda key, text: [f"--{key}", text], lambda key, text: [f"--{key}={text}"]])
def test_a_name_in_either_form_of_the_command_is_refused_or_arrives_as_typed(
    form: Callable[[str, str], list[str]], text: str, key: str
) -> None:
    argv = ["/lib/monai/bundle/__main__.py", "run", "--config_file", "a.json", *form(key, text)]
    command = parse_run_command(argv)
    assert command is not None
    if command.overrides[key] == text:
        require_texts_as_typed(command.overrides, command.typed)
        return
    with pytest.raises(
        ValueError, match=rf"^--{key} {re.escape(text)}: monai.bundle reads .*; write --{key}"
    ) as caught:
        require_texts_as_typed(command.overrides, command.typed)
    written = shlex.split(str(caught.value).partition("; write ")[2])[1]
    again = parse_run_command([*argv[:4], *form(key, written)])
    assert again is not None
    assert again.overrides[key] == text
    require_texts_as_typed(again.overrides, again.typed)
