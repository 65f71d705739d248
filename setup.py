"""Take the bundles along in the package: all else about it is in pyproject.toml."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
PARTS = ("configs", "docs", "LICENSE")  # what runs left in a bundle stays behind


class BuildWithBundles(build_py):
    """Copy ``bundles/`` into the package as ``_bundles``; an editable installation uses the checkout's own."""

    def run(self) -> None:
        """Build the package, then put the bundles into it."""
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib) / "fewlabel" / "_bundles"
        shutil.rmtree(target, ignore_errors=True)  # an earlier build may have left a bundle that is gone by now
        for file in bundle_files():
            copy = target / file.relative_to(ROOT / "bundles")
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)

    def get_source_files(self) -> list[str]:
        """Name the files that a source distribution needs."""
        return [*super().get_source_files(), *(str(file.relative_to(ROOT)) for file in bundle_files())]


def bundle_files() -> Iterator[Path]:
    """Each file of each bundle but hidden ones."""
    for metadata in sorted((ROOT / "bundles").glob("*/configs/metadata.json")):
        for part in PARTS:
            path = metadata.parents[1] / part
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                hidden = any(name.startswith((".", "__")) for name in file.relative_to(ROOT).parts)
                if file.is_file() and not hidden:
                    yield file


setup(cmdclass={"build_py": BuildWithBundles})
