from __future__ import annotations

import json
from pathlib import Path

import pytest

from fewlabel.bundle.command_line.run_command import RunCommand, parse_run_command

MONAI = "/environment/lib/monai/bundle/__main__.py"


def test_words_are_read_as_monai_reads_them_and_kept_as_typed() -> None:
    words = ["--config_file", "['a.json','b.json']", "--paper#steps=10", "--dataset-dir", "c#1", "--resume"]
    assert parse_run_command([MONAI, "run", *words]) == RunCommand(
        ("a.json", "b.json"),
        None,
        {"paper#steps": 10, "dataset_dir": "c", "resume": True},
        {"paper#steps": "10", "dataset_dir": "c#1", "resume": "True"},
    )


def test_arguments_of_monai_are_no_overrides() -> None:
    words = ["training", "--config_file", "a.json", "--meta_file", "m.json", "--logging_file", "l.conf"]
    words += ["--workflow_type", "train", "--tracking", "mlflow", "--init_id", "start", "--seed", "1"]
    assert parse_run_command([MONAI, "run", *words]) == RunCommand(("a.json",), "mlflow", {"seed": 1}, {"seed": "1"})
    words = ["--workflow_name", "ConfigWorkflow", "--config_file", "a.json", "--seed", "1"]
    assert parse_run_command([MONAI, "run_workflow", *words]) == RunCommand(
        ("a.json",), None, {"seed": 1}, {"seed": "1"}
    )


def test_a_file_of_arguments_lies_below_the_words(tmp_path: Path) -> None:
    (tmp_path / "args.json").write_text(json.dumps({"config_file": "a.json", "seed": 1, "resmue": True}))
    found = parse_run_command([MONAI, "run", "--args_file", str(tmp_path / "args.json"), "--seed", "2"])
    assert found == RunCommand(("a.json",), None, {"seed": 2, "resmue": True}, {"seed": "2"})


@pytest.mark.parametrize("verb", ["run", "run_workflow"])
def test_a_plus_which_monai_would_take_away_is_refused(verb: str) -> None:
    words = ["--config_file", "a.json", "--+train#handlers", "[{'_target_':'StatsHandler'}]"]
    with pytest.raises(ValueError, match=r"^--\+train#handlers: .* replace all of train#handlers; put .* overlay file"):
        parse_run_command([MONAI, verb, *words])


def test_a_plus_in_a_file_of_arguments_is_refused_too(tmp_path: Path) -> None:
    (tmp_path / "args.json").write_text(json.dumps({"config_file": "a.json", "+paper": {"steps": 3}}))
    with pytest.raises(ValueError, match=r"^--\+paper: .*overlay file, where \+ adds"):
        parse_run_command([MONAI, "run", "--args_file", str(tmp_path / "args.json")])


@pytest.mark.parametrize(
    "argv",
    [
        [MONAI, "ckpt_export", "network_def", "--config_file", "a.json", "--my_key", "1"],
        [MONAI],
        ["/bin/monailabel", "start_server", "--app", "apps"],
        ["/bin/pytest", "run"],
        [""],
        [],
    ],
)
def test_other_processes_have_no_such_command(argv: list[str]) -> None:
    assert parse_run_command(argv) is None
