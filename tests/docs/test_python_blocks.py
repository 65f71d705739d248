from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest
import yaml

import fewlabel
from fewlabel.version import __version__
from helpers.documented import PAGES, ROOT

PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
WITH_PYTHON = [page for page in PAGES if PYTHON.search(page.read_text(encoding="utf-8"))]
FOUND = [module.name for module in pkgutil.walk_packages(fewlabel.__path__, "fewlabel.")]
MODULES = sorted(name for name in FOUND if not name.endswith("__main__"))


@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda page: page.name)
def test_the_python_blocks_of_a_page_run_in_their_order(page: Path) -> None:
    names: dict[str, object] = {}
    for block in PYTHON.findall(page.read_text(encoding="utf-8")):
        exec(compile(block, str(page), "exec"), names)


def test_the_readme_and_the_page_on_python_show_python() -> None:
    assert {"README.md", "python.md"} <= {page.name for page in WITH_PYTHON}


def test_the_examples_of_all_docstrings_are_true() -> None:
    results = [doctest.testmod(importlib.import_module(name)) for name in MODULES]
    assert sum(result.attempted for result in results) > 60
    assert not [name for name, result in zip(MODULES, results, strict=True) if result.failed]


def test_the_citation_names_the_version_of_the_package() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert str(citation["version"]) == __version__
    assert citation["authors"] == [{"name": "The fewlabel contributors"}]


def test_the_picture_of_the_readme_is_small() -> None:
    assert 10_000 < (ROOT / "docs" / "images" / "demo.png").stat().st_size < 150_000
