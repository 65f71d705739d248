from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import fire
import pytest

from fewlabel.launch import long_form


def configs(words: list[str]) -> list[str]:
    """The files of a long form, as Fire hands them to MONAI."""
    given: dict[str, Any] = {}
    fire.Fire({"run": lambda **options: given.update(options)}, command=words)
    return list(given["config_file"])


@pytest.mark.parametrize(
    ("command", "overlays", "files"),
    [
        ("train", [], ["train"]),
        ("train", ["--with", "small"], ["train", "small"]),
        ("train", ["--with=small,multi_gpu_train"], ["train", "small", "multi_gpu_train"]),
        ("train", ["--with", "multi_gpu_train", "--with", "small"], ["train", "multi_gpu_train", "small"]),
        ("train", ["--with", "small.json"], ["train", "small"]),
        ("evaluate", [], ["train", "evaluate"]),
        ("evaluate", ["--with", "small"], ["train", "small", "evaluate"]),
        ("segment", [], ["inference"]),
    ],
)
def test_a_command_stands_for_these_config_files_in_this_order(
    command: str, overlays: list[str], files: list[str], checkout: Path
) -> None:
    folder = checkout / "bundles" / "one" / "configs"
    assert configs(long_form(command, ["one", *overlays])) == [str(folder / f"{name}.json") for name in files]


def test_the_other_options_follow_unchanged_and_in_their_order(checkout: Path) -> None:
    options = [
        "--paper#steps",
        "10",
        "--flag",
        "--+new",
        "[1, 2]",
        "--labeled_cases=7",
        "--x-y",
        "-1",
        "--dataset_dir",
        "/a b",
    ]
    words = long_form("train", ["one", *options[:3], "--with", "small", *options[3:], "--", "--trace"])
    assert words[0:2] == ["run", "--config_file"]
    assert words[3:] == [*options, "--", "--trace"]


@pytest.mark.parametrize("option", [["--dataset_dir", "2024_02_02"], ["--dataset_dir=2024_02_02"]])
def test_a_path_that_fire_would_change_is_quoted(option: list[str], checkout: Path) -> None:
    words = long_form("segment", ["one", *option])
    assert "=".join(words[3:]) == "--dataset_dir='2024_02_02'"


@pytest.mark.parametrize("name", ["plan.json", "my plan.yaml", "a,b.json", "2024.yml", "心.json"])
def test_an_overlay_of_ones_own_is_named_by_its_file(name: str, checkout: Path) -> None:
    Path(name).write_text("{}")
    assert configs(long_form("train", ["one", "--with", name]))[1:] == [str(Path(name).absolute())]
    both = configs(long_form("train", ["one", "--with", "small", "--with", name]))
    assert [Path(file).name for file in both] == ["train.json", "small.json", name]


def test_names_and_files_can_be_mixed(checkout: Path) -> None:
    Path("plan.json").write_text("{}")
    files = configs(long_form("train", ["one", "--with", "small,plan.json"]))
    assert [Path(file).name for file in files] == ["train.json", "small.json", "plan.json"]


def test_a_path_with_blanks_quotes_and_other_scripts_reaches_monai_whole(checkout: Path) -> None:
    folder = Path("a b's 心, 1") / "one"
    folder.parent.mkdir()
    (checkout / "bundles" / "one").rename(folder)
    words = long_form("train", [str(folder)])
    assert ast.literal_eval(words[2]) == configs(words) == [str(folder.resolve() / "configs" / "train.json")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("mine.json", b"{", "mine.json is not valid JSON: Expecting property name"),
        ("mine.json", b"", "mine.json is not valid JSON: Expecting value"),
        ("mine.json", b'{"a": 1, "b": 2, "a": 1}', "mine.json gives the key 'a' twice: remove one of them"),
        ("mine.json", b'{"text": "\xe4"}', "mine.json is not valid JSON: no text in UTF-8"),
        ("mine.json", b"[" * 100_000, "mine.json is not valid JSON: lists and objects are nested"),
        ("mine.json", b"[1]", "mine.json holds a list; an overlay is one object"),
        ("mine.json", b"null", "mine.json holds a NoneType; an overlay is one object"),
        ("mine.yaml", b"a: [1", "mine.yaml is not valid YAML in UTF-8: while parsing"),
        ("mine.yaml", b"- 1", "mine.yaml holds a list; an overlay is one object"),
    ],
)  # fmt: skip
def test_an_overlay_that_is_no_object_is_named(name: str, content: bytes, message: str, checkout: Path) -> None:
    Path(name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        long_form("train", ["one", "--with", name])


def test_an_overlay_of_the_bundle_that_is_no_object_is_named(checkout: Path) -> None:
    (checkout / "bundles" / "one" / "configs" / "small.json").write_text("[1]")
    with pytest.raises(ValueError, match=r"configs/small\.json holds a list"):
        long_form("evaluate", ["one", "--with", "small"])


@pytest.mark.parametrize(
    ("command", "words", "error", "message"),
    [
        ("train", [], ValueError, "fewlabel train needs a bundle first, one of one, two, or its folder"),
        ("train", ["--seed", "1"], ValueError, "fewlabel train needs a bundle first"),
        ("train", ["three"], FileNotFoundError, "three: no such bundle; the known ones are one, two"),
        ("train", ["one", "--with", "smal"], FileNotFoundError, "smal: no such .*; one has multi_gpu_train, small"),
        ("train", ["one", "--with", "evaluate"], FileNotFoundError, "--with evaluate: no such overlay"),
        ("train", ["one", "--with", "plan.json"], FileNotFoundError, "--with plan.json: no such overlay"),
        ("train", ["one", "--with", "small,"], FileNotFoundError, "--with : no such overlay"),
        ("train", ["one", "--with"], ValueError, "--with needs a name or a file, for instance --with small"),
        ("train", ["one", "--with", "--seed", "1"], ValueError, "--with needs a name or a file"),
        ("train", ["one", "--dataset_dir", "/a", "b"], ValueError, "'b' follows no option"),
        ("train", ["one", "--config_file", "a.json"], ValueError, "train chooses the config files itself"),
        ("train", ["one", "--config-file=a.json"], ValueError, "train chooses the config files itself"),
        ("train", ["one", "-config_file", "a.json"], ValueError, "train chooses the config files itself"),
        ("train", ["one", "-with", "smal"], FileNotFoundError, "smal: no such .*; one has multi_gpu_train, small"),
        ("segment", ["one", "--with", "small"], ValueError, "--with small: segment takes no overlay"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_an_error(
    command: str, words: list[str], error: type[Exception], message: str, checkout: Path
) -> None:
    with pytest.raises(error, match=message):
        long_form(command, words)


def test_a_bundle_without_the_config_that_a_command_needs_is_an_error(checkout: Path) -> None:
    (checkout / "bundles" / "one" / "configs" / "evaluate.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"evaluate\.json: no such file, and this command needs it"):
        long_form("evaluate", ["one"])


def test_a_bundle_below_a_folder_that_monai_cannot_name_is_an_error(checkout: Path) -> None:
    (checkout / "bundles" / "one").rename("c#1")
    with pytest.raises(
        ValueError, match=r"c#1/configs/train\.json: MONAI reads no config in a path with a number sign"
    ):
        long_form("train", ["c#1"])
