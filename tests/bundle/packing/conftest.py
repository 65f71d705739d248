from __future__ import annotations

from pathlib import Path

import pytest

from helpers.tiny_bundle import write_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle of one small network, without weights."""
    return write_bundle(tmp_path)
