"""The new method that CONTRIBUTING.md walks through, followed word for word in a copy of the checkout."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from helpers.documented import commands
from helpers.paths import ROOT, environment

NAME = "fixmatch_teacher"
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
TITLED = re.compile(r'^```\w+ title="([^"]+)"\n(.*?)^```', re.MULTILINE | re.DOTALL)
TINY = {
    "size": 64,
    "steps": 8,
    "steps_per_epoch": 4,
    "labeled_batch_size": 1,
    "unlabeled_batch_size": 1,
    "threshold": 0.0,
}


def run(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        env={**environment(), "PYTHONPATH": str(folder / "shared")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def hashes(folder: Path) -> dict[str, str]:
    files = [file for file in folder.rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    return {file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[str]]:
    """A checkout in which the page was followed, and the files that this changed."""
    folder = tmp_path_factory.mktemp("checkout")
    leave_out = shutil.ignore_patterns("__pycache__", "eval", "models", "*.egg-info")
    for name in ("shared", "bundles", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=leave_out)
    for name in ("README.md", "pyproject.toml", "CONTRIBUTING.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    before = hashes(folder)
    run(folder, "fewlabel", "new", NAME, "--like", "supervised")
    for path, text in TITLED.findall(PAGE):
        (folder / path).write_text(text, encoding="utf-8")
    run(folder, "fewlabel", "configs")
    after = hashes(folder)
    return folder, {name for name in after if after[name] != before.get(name)}


def test_the_page_shows_the_steps_that_are_followed_here() -> None:
    shown = [" ".join(command.words) for command in commands(ROOT / "CONTRIBUTING.md")]
    assert f"fewlabel new {NAME} --like supervised" in shown
    assert f"fewlabel verify {NAME}" in shown
    assert f"python -m monai.bundle run --config_file bundles/{NAME}/configs/train.json" in shown
    assert [path for path, _ in TITLED.findall(PAGE)] == [
        f"shared/fewlabel/methods/{NAME}.py",
        f"bundles/{NAME}/recipe.json",
    ]


def test_a_new_method_touches_its_own_files_and_the_tables_alone(followed: tuple[Path, set[str]]) -> None:
    _, changed = followed
    others = {name for name in changed if not name.startswith(f"bundles/{NAME}/")}
    assert others == {f"shared/fewlabel/methods/{NAME}.py", "README.md", "docs/index.md"}


def test_what_was_written_is_complete_and_verified(followed: tuple[Path, set[str]]) -> None:
    folder, _ = followed
    run(folder, "fewlabel", "configs", "--check")
    assert "FAILED" not in run(folder, "fewlabel", "verify", NAME)
    assert f"`{NAME}`" in (folder / "README.md").read_text(encoding="utf-8")


def test_the_new_bundle_trains_and_its_teacher_follows(
    followed: tuple[Path, set[str]], phantom: Path, tmp_path: Path
) -> None:
    folder, _ = followed
    settings = [word for key, value in TINY.items() for word in (f"--paper#{key}", str(value))]
    places = ["--output_dir", str(tmp_path / "eval"), "--ckpt_dir", str(tmp_path / "models")]
    data = ["--dataset_dir", str(phantom), "--labeled_cases", "2", "--num_workers", "0"]
    config = f"bundles/{NAME}/configs/train.json"
    run(folder, "monai.bundle", "run", "--config_file", config, *data, *places, *settings)
    lines = (tmp_path / "eval" / "history.jsonl").read_text().splitlines()
    assert len(lines) == 2
    assert all(set(json.loads(line)["terms"]) == {"supervised", "consistency"} for line in lines)
    assert all(json.loads(line)["terms"]["consistency"] > 0 for line in lines)
    state = torch.load(tmp_path / "models" / "training_state.pt", weights_only=True)["method"]
    assert int(state["teacher.updates"]) == TINY["steps"]
    name = next(key for key in state if key.startswith("network.") and key.endswith("weight"))
    assert not torch.equal(state[name], state[f"teacher.{name}"])
