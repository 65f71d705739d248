from __future__ import annotations

import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A project with two bundles of different kinds, and what they share."""
    shutil.copytree(ROOT / "shared" / "base_configs", tmp_path / "shared" / "base_configs")
    for bundle in ("cts", "vnet"):
        shutil.copytree(
            ROOT / "bundles" / bundle, tmp_path / "bundles" / bundle, ignore=shutil.ignore_patterns("eval", "models")
        )
    (tmp_path / "docs").mkdir()
    shutil.copy(ROOT / "LICENSE", tmp_path / "LICENSE")
    for page in ("README.md", "docs/index.md"):
        (tmp_path / page).write_text("# Project\n\n<!-- bundles: begin -->\n<!-- bundles: end -->\n\nMore.\n")
    return tmp_path
