"""Pages of measured figures are what `fewlabel compare` writes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fewlabel.comparison import compare
from helpers.paths import ROOT

COMPARISONS = sorted(file.parent for file in (ROOT / "docs" / "results").glob("*/comparison.json"))


def test_there_are_comparisons() -> None:
    assert COMPARISONS


@pytest.mark.parametrize("folder", COMPARISONS, ids=lambda folder: folder.name)
def test_a_page_of_figures_is_what_its_csv_files_give(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / folder.name))
    page = copy / "compare.md"
    page.unlink()
    compare(copy, report_only=True)
    assert page.read_text() == (folder / "compare.md").read_text()
