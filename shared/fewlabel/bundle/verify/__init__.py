"""Verify a bundle: what the model zoo, MONAI Label and a careful user look at, as one table."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from fewlabel.bundle.checkpoint import NETWORKS
from fewlabel.bundle.verify.config_rules import config_rules
from fewlabel.bundle.verify.contents import BundleFiles, Contents, FolderFiles
from fewlabel.bundle.verify.file_rules import file_rules
from fewlabel.bundle.verify.metadata_rules import metadata_rules
from fewlabel.bundle.verify.report import FAILED, Finding, Report
from fewlabel.bundle.verify.start import run_in_process
from fewlabel.bundle.verify.weights_rules import weights_rules
from fewlabel.bundle.verify.zips import ZipFiles
from fewlabel.launch import bundle_folder

__all__ = ["Finding", "Report", "verify_bundle"]

# faults of a bundle that should not be run, not even on purpose
_TRUST = {"vendored fewlabel", "code outside the package", "what configs run", *NETWORKS}


def verify_bundle(bundle: str | os.PathLike[str], run: bool = False) -> Report:
    """Check a bundle's folder or zip against what its hosts need.

    Without ``run`` nothing of the bundle is executed, unpickled or written anywhere, so a zip of unknown origin can be
    looked at. With it the networks and workflows are built, in a process of their own with the bundle's own package:
    that runs code of the bundle, and whoever made it can do there whatever you can.

    Args:
        bundle: a bundle's name, folder or zip.
        run: also run what needs the code: shapes that the network takes and gives, its weights, the properties that
            the zoo's checks instantiate.

    Raises:
        FileNotFoundError: no such bundle.
        ValueError: the zip is refused, see :class:`fewlabel.bundle.verify.zips.ZipFiles`.
    """
    path = Path(bundle)
    is_zip = path.is_file() or path.suffix == ".zip"
    files: BundleFiles = ZipFiles(path) if is_zip else FolderFiles(bundle_folder(bundle))
    findings = list(_static(files))
    if not run:
        return Report(str(files.place), tuple(findings))
    if any(finding.result == FAILED and finding.check in _TRUST for finding in findings):
        findings.append(Finding("--run", FAILED, "nothing of the bundle was run", "correct the faults above first"))
    elif isinstance(files, ZipFiles):
        with tempfile.TemporaryDirectory() as folder:
            findings += run_in_process(files.extract(folder))
    else:
        findings += run_in_process(files.place)
    return Report(str(files.place), tuple(findings))


def _static(files: BundleFiles) -> Iterator[Finding]:
    contents = Contents(files)
    yield from file_rules(contents)
    yield from contents.check()
    yield from metadata_rules(contents)
    yield from config_rules(contents)
    yield from weights_rules(contents)
