from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from monai.bundle import ConfigWorkflow

import fewlabel
from fewlabel.bundle import find_root


def make_bundle(folder: Path, name: str = "mcsc") -> Path:
    (folder / "configs").mkdir(parents=True)
    (folder / "configs" / "metadata.json").write_text(json.dumps({"name": name}))
    config = {
        "imports": ["$import fewlabel"],
        "bundle_root": f"$fewlabel.bundle.find_root('{name}')",
        "found": [],
        "run": ["$@found.append(@bundle_root)"],
    }
    (folder / "configs" / "train.json").write_text(json.dumps(config))
    return folder


def run(config_file: Path | str) -> str:
    """Do what ``python -m monai.bundle run`` does, and return the root that the configuration found."""
    workflow = ConfigWorkflow(
        config_file=str(config_file), workflow_type="train", meta_file=None, logging_file=None, init_id="", final_id=""
    )
    workflow.run()
    return str(workflow.parser.get_parsed_content("found")[0])


@pytest.fixture(autouse=True)
def own_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``sys.path`` begin with the working directory, as ``python -m`` does, and forget changes to it."""
    monkeypatch.setattr(sys, "path", ["", *sys.path])


@pytest.mark.parametrize("place", ["elsewhere", "its parent", "itself", "its configs"])
def test_a_bundle_that_runs_finds_itself_from_anywhere(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = make_bundle(tmp_path / "bundles" / "mcsc")
    (tmp_path / "elsewhere").mkdir()
    folders = {
        "elsewhere": tmp_path / "elsewhere",
        "its parent": bundle.parent,
        "itself": bundle,
        "its configs": bundle / "configs",
    }
    monkeypatch.chdir(folders[place])
    assert run(bundle / "configs" / "train.json") == str(bundle)


def test_a_relative_configuration_works_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = make_bundle(tmp_path / "mcsc")
    monkeypatch.chdir(bundle)
    assert run("configs/train.json") == str(bundle)


def test_a_copy_in_the_working_directory_is_not_mistaken_for_the_bundle_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, copy = make_bundle(tmp_path / "mcsc"), make_bundle(tmp_path / "old" / "mcsc")
    monkeypatch.chdir(copy)
    assert run(bundle / "configs" / "train.json") == str(bundle)


def test_of_two_copies_run_by_one_server_each_finds_itself(tmp_path: Path) -> None:
    one, other = make_bundle(tmp_path / "one"), make_bundle(tmp_path / "other")
    for bundle in (one, other, one):
        assert run(bundle / "configs" / "train.json") == str(bundle)


def test_another_bundle_or_a_broken_one_on_the_way_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = make_bundle(tmp_path / "right")
    contents = {"other": '{"name": "unet"}', "list": '["mcsc"]', "broken": "{", "nameless": "{}", "binary": "\udcff"}
    for folder, text in contents.items():
        (tmp_path / folder / "configs").mkdir(parents=True)
        (tmp_path / folder / "configs" / "metadata.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    monkeypatch.setattr(sys, "path", [*sys.path[:1], *(str(tmp_path / folder) for folder in contents), str(bundle)])
    assert find_root("mcsc") == str(bundle)


def test_a_zip_that_carries_the_package_is_found_without_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = make_bundle(tmp_path / "unpacked")
    (tmp_path / "copy").mkdir()
    monkeypatch.chdir(make_bundle(tmp_path / "copy" / "mcsc"))
    monkeypatch.setattr(fewlabel, "__file__", str(bundle / "fewlabel" / "__init__.py"))
    assert find_root("mcsc") == str(bundle)


def test_in_a_checkout_the_bundle_beside_the_package_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    package = tmp_path / "shared" / "fewlabel"
    package.mkdir(parents=True)
    bundle = make_bundle(tmp_path / "bundles" / "tiny", "tiny")
    monkeypatch.setattr(fewlabel, "__file__", str(package / "__init__.py"))
    assert find_root("tiny") == str(bundle)


def test_a_bundle_that_is_nowhere_is_an_error_with_the_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        FileNotFoundError, match="can't find the folder of the bundle 'nowhere'; name it with --bundle_root"
    ):
        find_root("nowhere")
