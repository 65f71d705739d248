from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.faults import run, training


@pytest.fixture
def data(phantom: Path, tmp_path: Path) -> Path:
    """A cohort of six hearts that the test may spoil."""
    return Path(shutil.copytree(phantom, tmp_path / "data"))


@pytest.fixture(scope="session")
def trained_once(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole training run on the phantom, with `models` and `eval`. Read only."""
    folder = tmp_path_factory.mktemp("trained")
    run("fewlabel", *training(phantom, folder)).ended_well()
    return folder


@pytest.fixture
def trained(trained_once: Path, tmp_path: Path) -> Callable[[], Path]:
    """Copies of a whole training run, for the test to spoil."""
    return lambda: Path(shutil.copytree(trained_once, tmp_path / "run"))
