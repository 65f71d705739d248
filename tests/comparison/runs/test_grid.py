from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fewlabel.comparison.runs.grid import make_runs, read_specification
from fewlabel.comparison.runs.run import Run

GRID: dict[str, Any] = {"bundles": "supervised,cts", "labeled_cases": "1,3", "seeds": "2", "dataset_dir": "/data/acdc"}


def keys(specification: dict[str, Any]) -> list[str]:
    return [run.key for run in make_runs(specification)]


def test_every_combination_comes_once_and_all_first_seeds_come_first() -> None:
    assert keys(GRID) == [
        f"acdc/{bundle}/labeled_{labeled}/seed_{seed}"
        for seed in (0, 1)
        for labeled in (1, 3)
        for bundle in ("supervised", "cts")
    ]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"seeds": 1}, {0}), ({"seeds": "3"}, {0, 1, 2}), ({"seeds": "5,7"}, {5, 7}), ({"seeds": [4]}, {4}),
    ],
)  # fmt: skip
def test_seeds_are_a_number_of_them_or_a_list(change: dict[str, Any], expected: set[int]) -> None:
    assert {run.seed for run in make_runs(GRID | change)} == expected


def test_all_labels_and_no_number_are_the_same() -> None:
    without = {key: value for key, value in GRID.items() if key != "labeled_cases"}
    assert keys(without) == keys(GRID | {"labeled_cases": "all"})
    assert {run.labeled_cases for run in make_runs(without)} == {None}


def test_blocks_take_what_stands_beside_them_and_runs_that_they_share_come_once() -> None:
    blocks = [
        {"labeled_cases": [3], "seeds": 3, "bundles": ["supervised", "mcsc"]},
        {"labeled_cases": [1, 3], "seeds": 1, "bundles": ["supervised", "mcsc"], "with": ["small"]},
        {"dataset_dir": "/data/la", "bundles": "vnet", "seeds": [2]},
    ]
    runs = make_runs({"dataset_dir": "/data/acdc", "with": "small", "options": {"num_workers": 0}, "blocks": blocks})
    assert len(runs) == 6 + 2 + 1
    assert {run.overlays for run in runs} == {("small",)}
    assert {tuple(run.options.items()) for run in runs} == {(("num_workers", "0"),)}
    assert runs[-1].seed == 2
    # first of its block: it is among the first seeds
    assert [run.dataset for run in runs].index("la") == 4


def test_a_row_may_have_a_name_overlays_and_options_of_its_own() -> None:
    row = {"bundle": "cts", "name": "cts without warm-up", "with": [], "options": {"paper#transformer_warmup": 0.0}}
    (run,) = make_runs({"bundles": [row], "dataset_dir": "/data/acdc", "with": "small", "options": {"val_interval": 2}})
    assert run == Run(
        "acdc", "/data/acdc", "cts without warm-up", "cts", (),
        {"val_interval": "2", "paper#transformer_warmup": "0.0"}, None, 0,
    )  # fmt: skip


def test_paths_are_absolute_so_that_a_comparison_goes_on_from_any_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine" / "configs").mkdir(parents=True)
    (tmp_path / "plan.json").write_text("{}")
    (run,) = make_runs({"bundles": "./mine", "dataset_dir": "data", "with": "plan.json"})
    assert (run.bundle, run.method) == (str(tmp_path / "mine"), "mine")
    assert (run.dataset_dir, run.overlays) == (str(tmp_path / "data"), (str(tmp_path / "plan.json"),))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"bundles": "supervised,no_such"}, FileNotFoundError, "no_such: no such bundle; the known ones are"),
        ({"with": "large"}, FileNotFoundError, "--with large: no such overlay; supervised has"),
        ({"bundles": ""}, ValueError, "a comparison needs bundles"),
        ({"dataset_dir": None}, ValueError, "give --dataset_dir"),
        ({"labeled_cases": "1,few"}, ValueError, "labeled_cases has 'few'; expected a whole number, 1 or more"),
        ({"labeled_cases": [0]}, ValueError, "labeled_cases has 0"),
        ({"seeds": [-1]}, ValueError, "seeds has -1; expected a whole number, 0 or more"),
        ({"seeds": 0}, ValueError, "seeds has 0"),
        ({"seed": 1}, ValueError, "'seed' is no key of a comparison; there are bundles"),
        ({"bundles": [{"bundle": "cts", "wiht": "small"}]}, ValueError, "expected a bundle's name, or an object"),
        ({"bundles": [{"bundle": "cts", "name": "../up"}]}, ValueError, "name '../up': expected letters"),
        ({"options": "fast"}, ValueError, "options is 'fast'; expected an object"),
        ({"blocks": {"seeds": 1}}, ValueError, "expected a list of objects"),
        ({"bundles": [{"bundle": "cts", "name": "a"}, {"bundle": "mcsc", "name": "a"}]}, ValueError,
         "two runs are called acdc/a/labeled_1/seed_0 and differ; give one of the rows a name"),
    ],
)  # fmt: skip
def test_what_makes_no_comparison_is_refused(change: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message.replace("(", r"\(")):
        make_runs(GRID | change)


@pytest.mark.parametrize(("name", "text"), [("a.json", json.dumps(GRID)), ("a.yaml", "bundles: supervised\nseeds: 2")])
def test_a_comparison_is_read_from_json_or_yaml(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert read_specification(tmp_path / name)["bundles"].startswith("supervised")


@pytest.mark.parametrize(("text", "message"), [("[1]", "a.json holds a list"), ("{", "a.json: no JSON or YAML")])
def test_a_file_that_is_no_comparison_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_specification(tmp_path / "a.json")
    with pytest.raises(FileNotFoundError, match=r"b\.json: no such file"):
        read_specification(tmp_path / "b.json")


def test_a_run_is_the_same_after_json() -> None:
    run = Run("acdc", "/data/acdc", "bcp", "bcp", ("small",), {"size": "128"}, 3, 1)
    assert Run.from_dict(json.loads(json.dumps(run.as_dict()))) == run
