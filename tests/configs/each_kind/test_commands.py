"""The command line itself, in processes of its own: what a user types after unpacking."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.bundle_runs import short, tree, words
from helpers.bundles import BASELINES
from helpers.paths import ROOT

BUNDLE = BASELINES["slices"]


@pytest.mark.parametrize(
    "place",
    [
        pytest.param("the repository", marks=pytest.mark.slow),
        pytest.param("the bundle", marks=pytest.mark.slow),
        "elsewhere",
    ],
)
def test_the_demo_runs_from_any_directory_and_writes_into_its_bundle_only(place: str, tmp_path: Path) -> None:
    copy = tmp_path / "repository" / "bundles" / BUNDLE
    shutil.copytree(ROOT / "bundles" / BUNDLE / "configs", copy / "configs")
    (tmp_path / "elsewhere").mkdir()
    folder, file = {
        "the repository": (tmp_path / "repository", f"bundles/{BUNDLE}/configs/train.json"),
        "the bundle": (copy, "configs/train.json"),
        "elsewhere": (tmp_path / "elsewhere", str(copy / "configs" / "train.json")),
    }[place]
    before = tree(tmp_path)
    options = words(short(BUNDLE, steps=1, steps_per_epoch=1))
    done = subprocess.run(
        [sys.executable, "-m", "monai.bundle", "run", "--config_file", file, *options],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "best checkpoint, strict protocol" in done.stdout
    written = {name for name, time in tree(tmp_path).items() if before.get(name) != time}
    top = {Path(name).relative_to(copy.relative_to(tmp_path)).parts[0] for name in written}
    assert top == {"eval", "models"}
    assert (copy / "eval" / "cases.png").is_file()
    assert (copy / "models" / "model.pt").is_file()
