"""What is a bundle's own in its files: what it promises, what it overrides, its terms and papers."""

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

from fewlabel.version import __version__
from helpers.bundles import BUNDLES, config, leaves, read_json, readme
from helpers.paths import ROOT

COMPLETE = ("train", "inference", "metadata")
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
SECTIONS = (
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
)


def configs(bundle: str) -> list[Path]:
    return sorted((ROOT / "bundles" / bundle / "configs").glob("*.json"))


def pinned(name: str) -> str | None:
    """The version in constraints.txt, without a local part such as +cpu."""
    wanted = re.sub(r"[-_.]+", "-", name).lower()
    for line in (ROOT / "constraints.txt").read_text().splitlines():
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


def test_configs_can_be_read_in_one_sitting_and_give_no_key_twice(subtests: pytest.Subtests) -> None:
    for bundle in BUNDLES:
        with subtests.test(bundle=bundle):
            assert len(config(bundle, "train").read_text().splitlines()) <= 212
            for path in configs(bundle):
                assert read_json(path)
                wide = [n for n, line in enumerate(path.read_text().splitlines(), start=1) if len(line) > 120]
                assert not wide, f"{path}: lines {wide}"


def test_a_key_given_twice_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "twice.json").write_text('{"a": {"b": 1, "b": 2}}')
    with pytest.raises(AssertionError, match=r"gives \['b'\] twice"):
        read_json(tmp_path / "twice.json")


def test_the_metadata_has_what_the_schema_and_the_zoo_require(subtests: pytest.Subtests) -> None:
    for bundle in BUNDLES:
        with subtests.test(bundle=bundle):
            metadata = read_json(config(bundle, "metadata"))
            assert [key for key in REQUIRED_METADATA if not metadata.get(key)] == []
            assert metadata["schema"].endswith("meta_schema_20240725.json")
            assert metadata["name"] == bundle, "fewlabel.bundle.find_root compares the name with the folder's"
            assert metadata["version"] == __version__
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


def test_versions_are_plain_numbers_of_packages_that_are_needed_and_were_tested(subtests: pytest.Subtests) -> None:
    for bundle in BUNDLES:
        with subtests.test(bundle=bundle):
            needed = set(re.findall(r'^    "([a-z0-9-]+)>=', (ROOT / "pyproject.toml").read_text(), flags=re.MULTILINE))
            stated = versions(read_json(config(bundle, "metadata")))
            for name, number in stated.items():
                assert re.fullmatch(r"\d+\.\d+\.\d+", number), f"{name}=={number}: the zoo's checks pin it with =="
                assert name in needed, f"{name} is no dependency of fewlabel"
                assert version(name)
            assert stated == {name: pinned(name) for name in stated}


def test_every_key_of_an_overlay_changes_something_that_is_there(subtests: pytest.Subtests) -> None:
    for bundle in BUNDLES:
        with subtests.test(bundle=bundle):
            training = leaves(read_json(config(bundle, "train")))
            overlays = [path for path in configs(bundle) if path.stem not in COMPLETE]
            assert {path.stem for path in overlays} >= {"evaluate", "multi_gpu_train", "small"}
            for path in overlays:
                changes = read_json(path)
                # a new constant is fine if the overlay itself uses it
                unknown = [
                    key
                    for key in changes
                    if key not in training
                    and not any(f"@{key}" in str(value) for other, value in changes.items() if other != key)
                ]
                assert unknown == [], path


def test_inference_takes_the_network_of_training_and_the_papers_settings_for_weights_without_a_note(
    subtests: pytest.Subtests,
) -> None:
    for bundle in BUNDLES:
        with subtests.test(bundle=bundle):
            training, inference = read_json(config(bundle, "train")), read_json(config(bundle, "inference"))
            assert inference["network_def"]["_target_"] == training["network_def"]["_target_"]
            trained = inference["trained"]
            assert {key: training["paper"][key] for key in ("size", "norm")} == {
                key: trained[key] for key in ("size", "norm")
            }
            tensors = read_json(config(bundle, "metadata"))["network_data_format"]
            assert trained["num_classes"] == tensors["outputs"]["pred"]["num_channels"]
            assert trained["in_channels"] == tensors["inputs"]["image"]["num_channels"]
            assert set(training["demo"]) == set(training["paper"]), (
                "the demo has a value for each of the paper's settings"
            )


def test_a_bundle_holds_its_papers(subtests: pytest.Subtests) -> None:
    for bundle in BUNDLES:
        with subtests.test(bundle=bundle):
            folder = ROOT / "bundles" / bundle
            assert (folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
            terms = (folder / "docs" / "data_license.txt").read_text()
            assert "non-commercial" in terms
            assert not list(folder.glob("**/*.py")), "a bundle is JSON; the science is in the package"
            headings = re.findall(r"^#+ (.+)$", readme(bundle), flags=re.MULTILINE)
            assert [section for section in SECTIONS if section not in headings] == []


def test_a_readme_names_only_options_that_exist(subtests: pytest.Subtests) -> None:
    for bundle in BUNDLES:
        with subtests.test(bundle=bundle):
            known = set()
            for path in configs(bundle):
                known |= set(leaves(read_json(path)))
            named = set(re.findall(r"(?<![\w-])--([a-z_]\w*(?:#\w+)*)", readme(bundle)))
            assert named
            unknown = (
                named - known - {"ckpt_file", "config_file", "filepath", "margin", "nproc_per_node", "out", "tracking"}
            )
            assert {option for option in unknown if not is_argument(option, config(bundle, "train"))} == set()


def test_no_bundle_is_ignored_by_git() -> None:
    files = [str(path.relative_to(ROOT)) for bundle in BUNDLES for path in configs(bundle)]
    ignored = subprocess.run(["git", "check-ignore", *files], cwd=ROOT, capture_output=True, text=True, check=False)
    if ignored.returncode == 128:
        pytest.skip("not a git checkout")
    assert ignored.stdout == "", sys.executable
