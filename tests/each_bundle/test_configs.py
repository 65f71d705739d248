from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import version
from inspect import signature
from pathlib import Path
from pydoc import locate
from typing import Any

import pytest
from monai.bundle import ConfigParser

from fewlabel.version import __version__
from helpers.bundle_runs import BUNDLES, ROOT, config, leaves, read_json

OVERLAYS = ("evaluate", "multi_gpu_train", "small")
REQUIRED_METADATA = (
    "schema",
    "version",
    "changelog",
    "monai_version",
    "pytorch_version",
    "numpy_version",
    "required_packages_version",
    "task",
    "description",
    "authors",
    "copyright",
    "network_data_format",
)
REQUIRED_TENSOR = ("type", "format", "num_channels", "spatial_shape", "dtype", "value_range")
# deploy rules: the model zoo's contributing guide, MONAI Label's trainer and our own design
REQUIRED_TRAIN = (
    "bundle_root",
    "dataset_dir",
    "output_dir",
    "ckpt_dir",
    "device",
    "labeled_cases",
    "seed",
    "paper",
    "demo",
    "settings",
    "network_def",
    "network",
    "method",
    "weights",
    "train#preprocessing",
    "train#dataset#data",
    "train#dataloader",
    "train#inferer",
    "train#handlers",
    "train#trainer#max_epochs",
    "validate#preprocessing",
    "validate#dataset#data",
    "validate#dataloader",
    "validate#inferer",
    "validate#postprocessing",
    "validate#handlers",
    "validate#key_metric",
    "validate#evaluator",
    "run",
)
REQUIRED_INFERENCE = (
    "bundle_root",
    "dataset_dir",
    "output_dir",
    "device",
    "network_def",
    "network",
    "preprocessing",
    "dataset",
    "dataloader",
    "inferer",
    "postprocessing",
    "evaluator",
    "run",
)


@pytest.fixture(params=BUNDLES)
def bundle(request: pytest.FixtureRequest) -> str:
    return request.param


def configs(bundle: str) -> list[Path]:
    return sorted((ROOT / "bundles" / bundle / "configs").glob("*.json"))


def pinned(name: str) -> str | None:
    """The version in constraints.txt, without a local part such as +cpu."""
    constraints = ROOT / "constraints.txt"
    if not constraints.is_file():
        return None
    wanted = re.sub(r"[-_.]+", "-", name).lower()
    for line in constraints.read_text().splitlines():
        match = re.match(r"([A-Za-z0-9._-]+)==([^\s;+]+)", line)
        if match and re.sub(r"[-_.]+", "-", match[1]).lower() == wanted:
            return match[2]
    return None


def is_argument(option: str, path: Path) -> bool:
    """Whether an option that the config leaves at its default is an argument of the component above it."""
    above, _, name = option.rpartition("#")
    target = leaves(read_json(path)).get(f"{above}#_target_", "")
    component = locate(target)
    return component is not None and name in signature(component).parameters


def versions(metadata: dict[str, Any]) -> dict[str, str]:
    core = {"monai": "monai_version", "torch": "pytorch_version", "numpy": "numpy_version"}
    return {name: metadata[key] for name, key in core.items()} | metadata["required_packages_version"]


def test_at_least_the_first_three_bundles_are_looked_at() -> None:
    assert {"supervised", "cts", "mcsc"} <= set(BUNDLES)


def test_no_key_is_given_twice_and_no_line_is_wider_than_120_columns(bundle: str) -> None:
    for path in configs(bundle):
        assert read_json(path)
        wide = [n for n, line in enumerate(path.read_text().splitlines(), start=1) if len(line) > 120]
        assert not wide, f"{path}: lines {wide}"


def test_a_key_given_twice_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "twice.json").write_text('{"a": {"b": 1, "b": 2}}')
    with pytest.raises(AssertionError, match=r"gives \['b'\] twice"):
        read_json(tmp_path / "twice.json")


def test_a_training_config_can_be_read_in_one_sitting(bundle: str) -> None:
    assert len(config(bundle, "train").read_text().splitlines()) <= 172


def test_the_metadata_has_what_the_schema_and_the_zoo_require(bundle: str) -> None:
    metadata = read_json(config(bundle, "metadata"))
    assert [key for key in REQUIRED_METADATA if not metadata.get(key)] == []
    assert metadata["schema"].endswith("meta_schema_20240725.json")
    assert metadata["name"] == bundle, "fewlabel.bundle.find_root compares the name with the folder's"
    assert metadata["version"] in metadata["changelog"]
    assert isinstance(metadata["supported_apps"], dict)
    tensors = metadata["network_data_format"]
    # MONAI Label takes the first input and the first output, under these names
    assert next(iter(tensors["inputs"])) == "image"
    assert next(iter(tensors["outputs"])) == "pred"
    for tensor in (*tensors["inputs"].values(), *tensors["outputs"].values()):
        assert [key for key in REQUIRED_TENSOR if key not in tensor] == []
        assert isinstance(tensor["num_channels"], int)
        assert all(isinstance(bound, int | float) for bound in tensor["value_range"])
    channels = tensors["outputs"]["pred"]["channel_def"]
    assert [int(channel) for channel in channels] == list(range(tensors["outputs"]["pred"]["num_channels"]))
    assert channels["0"] == "background"


def test_the_metadata_has_the_version_of_the_package(bundle: str) -> None:
    assert read_json(config(bundle, "metadata"))["version"] == __version__


def test_versions_are_plain_numbers_of_packages_that_are_needed(bundle: str) -> None:
    needed = set(re.findall(r'^    "([a-z0-9-]+)>=', (ROOT / "pyproject.toml").read_text(), flags=re.MULTILINE))
    for name, number in versions(read_json(config(bundle, "metadata"))).items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", number), f"{name}=={number}: the zoo's checks pin it with =="
        assert name in needed, f"{name} is no dependency of fewlabel"
        assert version(name)


def test_versions_are_those_that_were_tested(bundle: str) -> None:
    if not (ROOT / "constraints.txt").is_file():
        pytest.skip("no constraints.txt")
    stated = versions(read_json(config(bundle, "metadata")))
    assert stated == {name: pinned(name) for name in stated}


@pytest.mark.parametrize(("file", "required"), [("train", REQUIRED_TRAIN), ("inference", REQUIRED_INFERENCE)])
def test_a_config_has_the_keys_that_hosts_rely_on(bundle: str, file: str, required: tuple[str, ...]) -> None:
    found = leaves(read_json(config(bundle, file)))
    assert [key for key in required if key not in found] == []
    assert "initialize" not in found, "it is evaluated before the bundle's folder is on the import path"


def test_handlers_are_literal_dictionaries_since_monai_label_looks_into_them(bundle: str) -> None:
    training = read_json(config(bundle, "train"))
    for handlers in (training["train"]["handlers"], training["validate"]["handlers"]):
        assert isinstance(handlers, list)
        assert handlers
        assert all(isinstance(handler, dict) and isinstance(handler["_target_"], str) for handler in handlers)


def test_a_run_is_made_deterministic_first(bundle: str) -> None:
    assert read_json(config(bundle, "train"))["run"][0] == "$monai.utils.set_determinism(@seed)"
    start, seeding = read_json(config(bundle, "multi_gpu_train"))["run"][:2]
    # ranks draw different dropout, so the group comes first
    assert "init_distributed" in start
    assert seeding.startswith("$monai.utils.set_determinism(")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_key_of_an_overlay_changes_something_that_is_there(bundle: str, overlay: str) -> None:
    path = config(bundle, overlay)
    if not path.is_file():
        assert overlay == "small", f"{path} is missing"
        pytest.skip("this bundle has no settings for small machines")
    training = leaves(read_json(config(bundle, "train")))
    changes = read_json(path)
    # a new constant is fine if the overlay itself uses it
    unknown = [
        key
        for key in changes
        if key not in training and not any(f"@{key}" in str(value) for other, value in changes.items() if other != key)
    ]
    assert unknown == []


def test_inference_prepares_images_as_training_does(bundle: str) -> None:
    training, inference = read_json(config(bundle, "train")), read_json(config(bundle, "inference"))
    assert inference["inferer"]["_target_"] == training["validate"]["inferer"]["_target_"]
    targets = [
        [step["_target_"] for step in stanza["transforms"]]
        for stanza in (inference["preprocessing"], training["train"]["preprocessing"])
    ]
    assert targets[0] == targets[1]
    assert inference["network_def"]["_target_"] == training["network_def"]["_target_"]


def test_inference_assumes_the_papers_settings_for_weights_without_a_note(bundle: str) -> None:
    training, trained = read_json(config(bundle, "train")), read_json(config(bundle, "inference"))["trained"]
    assert {key: training["paper"][key] for key in ("size", "norm")} == {key: trained[key] for key in ("size", "norm")}
    tensors = read_json(config(bundle, "metadata"))["network_data_format"]
    assert trained["num_classes"] == tensors["outputs"]["pred"]["num_channels"]
    assert trained["in_channels"] == tensors["inputs"]["image"]["num_channels"]


def test_the_demo_has_a_value_for_each_of_the_papers_settings(bundle: str) -> None:
    training = read_json(config(bundle, "train"))
    assert set(training["demo"]) == set(training["paper"])


def test_a_bundle_holds_its_papers(bundle: str) -> None:
    folder = ROOT / "bundles" / bundle
    assert (folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    terms = (folder / "docs" / "data_license.txt").read_text()
    assert "non-commercial" in terms
    assert not list(folder.glob("**/*.py")), "a bundle is JSON; the science is in the package"


@pytest.mark.parametrize(
    "section",
    [
        "Description",
        "Data",
        "Preprocessing",
        "Performance",
        "Commands",
        "System Configuration",
        "Where paper and released code disagree, and what we took",
        "Measured here",
        "Limitations",
        "Citation",
        "References",
        "License",
    ],
)
def test_a_readme_has_the_sections_of_the_zoo_and_ours(bundle: str, section: str) -> None:
    text = (ROOT / "bundles" / bundle / "docs" / "README.md").read_text()
    assert re.search(rf"^#+ {re.escape(section)}$", text, flags=re.MULTILINE)


def test_a_readme_names_only_options_that_exist(bundle: str) -> None:
    text = (ROOT / "bundles" / bundle / "docs" / "README.md").read_text()
    known = set()
    for path in configs(bundle):
        known |= set(leaves(read_json(path)))
    named = set(re.findall(r"(?<![\w-])--([a-z_]\w*(?:#\w+)*)", text))
    assert named
    unknown = named - known - {"ckpt_file", "config_file", "filepath", "margin", "nproc_per_node", "out", "tracking"}
    assert {option for option in unknown if not is_argument(option, config(bundle, "train"))} == set()


@pytest.mark.parametrize(("word", "meaning"), [("false", False), ("true", True), (False, False)])
def test_a_switch_on_the_command_line_means_what_it_says(bundle: str, word: object, meaning: bool) -> None:
    parser = ConfigParser({"imports": ["$import fewlabel"], "resume": word})
    (saver,) = [
        handler
        for handler in read_json(config(bundle, "train"))["train"]["handlers"]
        if handler["_target_"] == "fewlabel.handlers.TrainingState"
    ]
    parser["switch"] = saver["resume"]
    assert parser.get_parsed_content("switch") is meaning


def test_no_bundle_is_ignored_by_git() -> None:
    files = [str(path.relative_to(ROOT)) for bundle in BUNDLES for path in configs(bundle)]
    ignored = subprocess.run(["git", "check-ignore", *files], cwd=ROOT, capture_output=True, text=True, check=False)
    if ignored.returncode == 128:
        pytest.skip("not a git checkout")
    assert ignored.stdout == "", sys.executable
