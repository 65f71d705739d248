from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import fewlabel.comparison.command as command
from fewlabel.cli import main
from fewlabel.comparison.command import compare_as_typed


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What reaches the comparison."""
    reached: dict[str, Any] = {}

    def compare(out: str, specification: Any, **settings: Any) -> Path:
        reached.update(out=out, specification=specification, **settings)
        return Path(out)

    monkeypatch.setattr(command, "compare", compare)
    return reached


def test_options_reach_the_comparison_as_they_were_typed(asked: dict[str, Any]) -> None:
    words = ["--bundles", "supervised,cts", "--labeled_cases", "1,3", "--seeds", "3", "--dataset_dir", "2024_02_02"]
    words += ["--with", "small", "--paper#size", "64", "--minutes", "90", "--processes", "2", "--clean_split", "true"]
    main(["compare", *words, "--out", "results"])
    assert asked["out"] == "results"
    assert asked["specification"] == {
        "bundles": "supervised,cts", "labeled_cases": "1,3", "seeds": "3", "dataset_dir": "2024_02_02",
        "with": "small", "options": {"paper#size": "64"},
    }  # fmt: skip
    assert (asked["minutes"], asked["processes"], asked["clean_split"]) == (90, 2, True)


def test_the_command_that_the_tables_show_leaves_out_what_was_not_compared(asked: dict[str, Any]) -> None:
    main(
        ["compare", "--bundles", "cts", "--dataset_dir", "/my data", "--out", "o", "--minutes", "5", "--split", "test"]
    )
    assert asked["command"] == (
        "fewlabel compare --out o --bundles cts --dataset_dir '/my data' --split test --processes 1"
    )
    main(["compare", "--out", "o"])
    assert asked["command"] == ""
    assert asked["specification"] is None


def test_a_file_says_all_of_it(asked: dict[str, Any]) -> None:
    main(["compare", "plan.yaml", "--out", "o"])
    assert asked["specification"] == "plan.yaml"
    assert asked["command"] == "fewlabel compare plan.yaml --out o --processes 1"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["plan.yaml", "--seeds", "3"], "plan.yaml says what to compare, and so does --seeds"),
        (["--seeds", "3"], "--seeds needs --bundles"),
        (["--clean_split", "maybe"], "clean_split is 'maybe', but it must be true or false"),
        (["--bundles", "supervised", "--dataset_dir", "/nowhere"], "/nowhere does not exist"),
        (["--bundles", "supervised", "--dataset_dir", ".", "--scheduler", "pbs"], "expected one of local, slurm, dask"),
        (["--bundles", "supervised", "--dataset_dir", ".", "--address", "tcp://a:1"], "give --scheduler dask too"),
        (["--bundles", "cts", "--dataset_dir", ".", "--scheduler", "slurm", "--minutes", "9"], "limit the time of a"),
        (["no_such_file.json"], "no_such_file.json: no such file"),
    ],
)
def test_what_makes_no_sense_is_one_line_and_exits_with_2(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["compare", *words, "--out", str(tmp_path / "out")])
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("fewlabel: error: ")
    assert message in line


def test_a_key_that_no_config_has_is_refused_before_hours_of_runs(
    phantom: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--bundles", "supervised", "--dataset_dir", str(phantom), "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit, match="2"):
        main(["compare", *words, "--labelled_cases", "3"])
    assert "supervised: --labelled_cases is no setting" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("status", "code"), [("finished", None), ("failed", 1)])
def test_one_run_alone_exits_as_a_cluster_expects(
    status: str, code: int | None, tmp_path: Path, asked: dict[str, Any]
) -> None:
    (tmp_path / "train.json").write_text(json.dumps({"status": status}))
    if code is None:
        compare_as_typed(str(tmp_path), None, {}, {}, only="a/b/labeled_1/seed_0")
    else:
        with pytest.raises(SystemExit, match="1"):
            compare_as_typed(str(tmp_path), None, {}, {}, only="a/b/labeled_1/seed_0")
