from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import fewlabel
from fewlabel.comparison.runs import provenance
from helpers.paths import ROOT


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit that holds the package."""
    package = tmp_path / "shared" / "fewlabel"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=b", "commit", "-qm", "first"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    monkeypatch.setattr(fewlabel, "__file__", str(package / "__init__.py"))
    monkeypatch.setattr(provenance, "commit", provenance.commit.__wrapped__)
    return tmp_path


def test_the_commit_says_whether_files_differ_from_it(checkout: Path) -> None:
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=checkout, capture_output=True, text=True, check=True)
    assert provenance.commit() == head.stdout.strip()
    (checkout / "shared" / "fewlabel" / "__init__.py").write_text("changed = True")
    assert provenance.commit() == head.stdout.strip() + "+changes"


def test_a_package_outside_a_checkout_has_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fewlabel, "__file__", str(tmp_path / "site-packages" / "fewlabel" / "__init__.py"))
    assert provenance.commit.__wrapped__() is None


def test_versions_and_machine_are_those_at_hand() -> None:
    pinned = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split() if line.count("==") == 1)
    assert provenance.versions()["monai"].startswith(pinned["monai"].split("+")[0])
    machine = provenance.machine()
    assert machine["cores"] == provenance.cores() >= 1
    assert 0.5 < machine["memory_gib"] < 100_000
    assert isinstance(machine["gpus"], list)
