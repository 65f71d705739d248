from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fewlabel.bundle.command_line.blocks import require_block_that_applies
from helpers.bundles import BASELINES, config

BUNDLE = BASELINES["slices"]
TRAIN = str(config(BUNDLE, "train"))
SMALL = str(config(BUNDLE, "small"))


@pytest.mark.parametrize("key", ["paper#steps", "paper::steps"])
def test_settings_of_the_paper_are_refused_for_the_demo(key: str) -> None:
    message = (
        r"^--paper#steps would change nothing: the demo's settings apply because no --dataset_dir was given: "
        r"set demo#steps, or name a dataset with --dataset_dir; nothing was run$"
    )
    with pytest.raises(ValueError, match=message):
        require_block_that_applies([TRAIN], {key: 2})


def test_settings_of_the_demo_are_refused_for_a_dataset() -> None:
    message = (
        r"^--demo#steps would change nothing: the paper's settings apply because the dataset is /data/acdc: "
        r"set paper#steps, or leave out --dataset_dir; nothing was run$"
    )
    with pytest.raises(ValueError, match=message):
        require_block_that_applies([TRAIN], {"dataset_dir": "/data/acdc", "demo#steps": 2})


def test_an_overlay_for_datasets_is_named_where_the_demo_runs() -> None:
    with pytest.raises(ValueError, match=r"^paper#size, .* more in .*/small\.json would change nothing: the demo's"):
        require_block_that_applies([TRAIN, SMALL], {})


def test_a_whole_block_that_does_not_apply_is_refused(tmp_path: Path) -> None:
    overlay = tmp_path / "overlay.json"
    overlay.write_text(json.dumps({"+paper": {"steps": 3}}))
    with pytest.raises(ValueError, match=r"^paper#steps in .*/overlay\.json would change nothing"):
        require_block_that_applies([TRAIN, str(overlay)], {})


def test_the_folder_of_the_demo_is_no_dataset(tmp_path: Path) -> None:
    folder = {"dataset_dir": str(tmp_path), "demo_dir": str(tmp_path)}
    require_block_that_applies([TRAIN], {**folder, "demo#steps": 2})
    with pytest.raises(ValueError, match=r"apply because --dataset_dir is the demo's folder /"):
        require_block_that_applies([TRAIN], {**folder, "paper#steps": 2})


@pytest.mark.parametrize(
    ("files", "overrides"),
    [
        ([], {}),
        ([TRAIN], {"demo#steps": 2, "seed": 1}),
        ([TRAIN, SMALL], {"dataset_dir": "/data/acdc", "paper#steps": 2}),
        ([TRAIN], {"paper#steps": 2, "demo#steps": 2}),  # for either
        ([TRAIN], {"dataset_dir": "/data/acdc", "paper#steps": 2, "demo#steps": 2}),
        ([TRAIN], {"paper#steps": 2, "demo#steps": "@paper#steps"}),
        ([TRAIN], {"paper#steps": 2, "demo": "@paper"}),
        ([TRAIN], {"paper#steps": 2, "settings": "$@paper"}),
        ([TRAIN], {"paper#steps": 2, "train#dataset#data": "$[]"}),  # neither the demo's cases nor a dataset's
        ([str(config(BUNDLE, "inference"))], {"dataset_dir": "/data/scans"}),
    ],
    ids=str,
)
def test_what_changes_something_is_accepted(files: list[str], overrides: dict[str, Any]) -> None:
    require_block_that_applies(files, overrides)


def test_nothing_is_written_to_find_the_block_that_applies(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="would change nothing"):
        require_block_that_applies([TRAIN], {"output_dir": str(tmp_path / "eval"), "paper#steps": 2})
    assert not list(tmp_path.iterdir())
