from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from fewlabel.data.acdc import prepare_acdc
from fewlabel.data.phantom import write_phantom

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six synthetic hearts: four for training, one for validation, one for the test. Read only."""
    return write_phantom(tmp_path_factory.mktemp("phantom") / "cardiac", cases=6)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of archives with real scans; a test that asks for it is skipped where there is none."""
    folder = Path(os.environ.get("FEWLABEL_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real scans in {folder}; name their folder in FEWLABEL_DATA")
    return folder


@pytest.fixture(scope="session")
def real_acdc(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ACDC in our layout, as far as the archive holds it."""
    archive = real_data / "acdc.tar.xz"
    if not archive.is_file():
        pytest.skip(f"no {archive}")
    folder = tmp_path_factory.mktemp("acdc")
    with tarfile.open(archive) as files:
        files.extractall(folder / "raw", filter="data")
    raw = next(path.parent for path in (folder / "raw").rglob("images") if path.is_dir())
    return prepare_acdc(raw, folder / "acdc", allow_missing=True, report=lambda line: None)
