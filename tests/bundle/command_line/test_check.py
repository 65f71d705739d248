from __future__ import annotations

import json
from pathlib import Path

import pytest

from fewlabel.bundle.command_line.check import check_words

TRAIN = {"seed": 0, "paper": {"steps": 10, "size": 64}, "train": {"handlers": [{"_target_": "x", "interval": 1}]}}


@pytest.fixture
def train(tmp_path: Path) -> str:
    (tmp_path / "train.json").write_text(json.dumps(TRAIN))
    return str(tmp_path / "train.json")


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("papr#steps", "paper#steps"),
        ("papr::steps", "paper#steps"),
        ("paper#stepz", "paper#steps"),
        ("seed#steps", "paper#steps"),
        ("tran#handlers#0#interval", "train#handlers#0#interval"),
        ("train#handlers#7#interval", "train#handlers#0#interval"),
        ("sead", "seed"),
    ],
)
@pytest.mark.parametrize("joined", [True, False])
def test_a_misspelled_key_is_told_with_the_nearest_before_monai_fails_on_it(
    joined: bool, key: str, nearest: str, train: str
) -> None:
    words = [f"--{key}=10"] if joined else [f"--{key}", "10"]
    with pytest.raises(ValueError, match=f"the nearest is --{nearest}; nothing was run") as caught:
        check_words(["run", "--config_file", train, *words])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("option", ["--config_file", "-config_file", "--config-file"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"seed": 1,\n "seed": 2}', "gives the key 'seed' twice"),
        ('{"papr#steps": 1}', r"papr#steps in .*mine\.json is no setting .* the nearest is paper#steps"),
        ('{"seed": 1\n', r"mine\.json is not valid JSON: .*line 2"),
    ],
)
def test_a_faulty_overlay_is_told_with_its_name(content: str, message: str, option: str, train: str) -> None:
    mine = Path(train).with_name("mine.json")
    mine.write_text(content)
    with pytest.raises(ValueError, match=message):
        check_words(["run", option, repr([train, str(mine)])])


def test_a_faulty_file_of_arguments_is_told_with_its_name(train: str) -> None:
    mine = Path(train).with_name("args.json")
    mine.write_text("{")
    with pytest.raises(ValueError, match=r"args\.json is not valid JSON"):
        check_words(["run", "--config_file", train, "--args_file", str(mine)])


@pytest.mark.parametrize("words", [["--paper#steps", "20"], ["--paper#steps=20"], ["-seed", "1"], []])
def test_what_the_configs_have_passes(words: list[str], train: str) -> None:
    check_words(["run", "--config_file", train, *words])
