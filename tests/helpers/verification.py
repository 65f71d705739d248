"""Copies of bundles to verify, and what a report found."""

from __future__ import annotations

import shutil
from pathlib import Path

from fewlabel.bundle.verify import Report
from fewlabel.bundle.verify.report import FAILED
from helpers.paths import ROOT


def clean_copy(bundle: str, folder: Path) -> Path:
    root = folder / bundle
    for part in ("configs", "docs"):
        shutil.copytree(ROOT / "bundles" / bundle / part, root / part)
    shutil.copy(ROOT / "bundles" / bundle / "LICENSE", root)
    return root


def failed(report: Report) -> dict[str, str]:
    assert all(finding.fix for finding in report.findings if finding.result == FAILED), "each fault has a fix"
    return {finding.check: finding.detail for finding in report.findings if finding.result == FAILED}
