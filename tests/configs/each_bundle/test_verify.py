"""Every bundle passes our own verification, as a folder and as the zip that is packed from it."""

from __future__ import annotations

from pathlib import Path

from fewlabel.bundle import pack_bundle
from fewlabel.bundle.verify import verify_bundle
from fewlabel.bundle.verify.running import outcomes
from helpers.bundles import EACH, ONE_OF_EACH_FORM
from helpers.verification import clean_copy, failed


@EACH
def test_every_bundle_and_its_zip_pass(bundle: str, tmp_path: Path) -> None:
    root = clean_copy(bundle, tmp_path)
    for place in (root, pack_bundle(root, tmp_path / "dist")):
        before = sorted(path.name for path in tmp_path.rglob("*"))
        report = verify_bundle(place)
        assert failed(report) == {}, str(report)
        assert report.ok
        assert sorted(path.name for path in tmp_path.rglob("*")) == before


@ONE_OF_EACH_FORM
def test_a_bundle_of_each_form_does_what_only_running_it_can_tell(bundle: str, tmp_path: Path) -> None:
    root = clean_copy(bundle, tmp_path)
    (tmp_path / "scratch").mkdir()
    found = list(outcomes(root, tmp_path / "scratch"))
    assert [(check, fault) for check, fault, _ in found if fault] == []
    assert len(found) == 5
