"""Run by `make test-label`, in an environment with MONAI Label; anywhere else there is nothing to collect."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest

from helpers.label_zips import packed

collect_ignore_glob = [] if importlib.util.find_spec("monailabel") else ["test_*.py"]

SERVED = ("mcsc", "supervised")  # what most tests work with


@pytest.fixture(scope="session")
def atrium(real_atria: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three left atria: `images` and `labels`, of equal names."""
    folder = tmp_path_factory.mktemp("atrium")
    for kind in ("images", "labels"):
        (folder / kind).mkdir()
        for file in sorted((real_atria / kind).iterdir())[:3]:
            shutil.copy(file, folder / kind)
    return folder


@pytest.fixture(scope="session")
def cardiac_zips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundles of four classes, packed."""
    return packed(SERVED, 4, tmp_path_factory.mktemp("cardiac"))


@pytest.fixture(scope="session")
def atrium_zips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundles of two classes, packed."""
    return packed(SERVED, 2, tmp_path_factory.mktemp("atrial"))


@pytest.fixture(scope="session")
def stock_app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The app `monaibundle`, as the installed package copies it."""
    from helpers.serving import monailabel

    folder = tmp_path_factory.mktemp("apps")
    monailabel("apps", "--download", "--name", "monaibundle", "--output", str(folder))
    return folder / "monaibundle"
