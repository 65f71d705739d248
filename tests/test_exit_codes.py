"""Every command ends with the codes of the table in docs/commands.md."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from fewlabel.cli import COMMANDS, main
from helpers.paths import ROOT

# what no command can do
IMPOSSIBLE = {
    "check": ["nowhere"],
    "compare": ["--bundles", "nowhere", "--dataset_dir", "nowhere"],
    "configs": ["--check", "perhaps"],
    "copy": ["nowhere", "."],
    "embed": ["--out", "text.pt"],
    "evaluate": ["nowhere"],
    "export": ["nowhere", "--to", "onnx"],
    "new": ["Not A Name", "--like", "supervised"],
    "pack": ["nowhere"],
    "phantom": ["unicorn", "."],
    "plan": ["nowhere"],
    "prepare": ["unicorn", "raw", "out"],
    "segment": ["nowhere"],
    "train": ["nowhere"],
    "verify": ["nowhere"],
    "where": ["nowhere"],
}


def test_every_command_is_tried() -> None:
    assert IMPOSSIBLE.keys() == COMMANDS.keys()


@pytest.mark.parametrize("command", IMPOSSIBLE)
def test_a_command_that_cannot_run_ends_with_2_and_one_line_and_writes_nothing(
    command: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main([command, *IMPOSSIBLE[command]])
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("fewlabel: error: ")
    assert list(tmp_path.iterdir()) == []


def test_the_table_names_the_codes_that_there_are() -> None:
    page = (ROOT / "docs" / "commands.md").read_text().partition("## Exit codes")[2].partition("\n## ")[0]
    codes = [int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)]
    assert codes == [0, 1, 2, 128 + signal.SIGINT, 128 + signal.SIGTERM]
