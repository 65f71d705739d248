from __future__ import annotations

from pathlib import Path

import pytest

from helpers.fake_runs import FakeCommands


@pytest.fixture
def commands(tmp_path: Path) -> FakeCommands:
    return FakeCommands(tmp_path / "journal")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"
