"""One process, one copy of this package: refuse to run a bundle with another copy than the one it carries."""

from __future__ import annotations

import hashlib
import os
import re
from functools import cache
from pathlib import Path

import fewlabel

_VERSION = re.compile(r'^__version__ = "([^"]+)"$', re.MULTILINE)


def require_same_package(bundle_root: str | os.PathLike[str]) -> None:
    """Refuse a bundle that carries another copy of this package than the one that is loaded.

    A server such as MONAI Label runs several bundles in one process, and Python loads a package once: the bundle that
    comes second would run with the code of the first. Copies are the same if their ``*.py`` are, so bundles that were
    packed by one version share a process. A bundle in a checkout carries no copy and runs with any.

    Args:
        bundle_root: the bundle's folder.

    Raises:
        ValueError: the copies differ; or the bundle was replaced by another one after its package was loaded.
    """
    carried, loaded = Path(bundle_root) / "fewlabel", Path(fewlabel.__file__).parent
    if not (carried / "__init__.py").is_file():
        return
    theirs, ours = sources(carried), _loaded_sources(loaded)
    if theirs == ours:
        return
    if carried.resolve() == loaded.resolve():
        raise ValueError(
            f"{carried}: fewlabel was replaced by version {package_version(carried)} after this process had loaded "
            f"another one ({_first_difference(theirs, ours)} differs): restart the process"
        )
    raise ValueError(
        f"{bundle_root} brings fewlabel {package_version(carried)}, but this process runs fewlabel "
        f"{fewlabel.__version__} from {loaded}, and their code differs ({_first_difference(theirs, ours)}, say): pack "
        "all bundles of a server with one version, or give this bundle a process of its own, with its folder first on "
        f"the path: PYTHONPATH={bundle_root}"
    )


def sources(package: str | os.PathLike[str]) -> dict[str, str]:
    """Return the SHA-256 of each ``*.py`` of a package's folder, by its path in there."""
    folder = Path(package)
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*.py"))
    }


def package_version(package: str | os.PathLike[str]) -> str:
    """Return the version of a package's folder as its ``version.py`` states it, without running it."""
    file = Path(package) / "version.py"
    return stated_version(file.read_text(encoding="utf-8") if file.is_file() else "")


def stated_version(text: str) -> str:
    """Return the version that the text of a ``version.py`` states, "unknown" if it states none."""
    found = _VERSION.search(text)
    return found[1] if found else "unknown"


@cache
def _loaded_sources(package: Path) -> dict[str, str]:
    # as they were when first asked: what lies there now may not be what runs
    return sources(package)


def _first_difference(one: dict[str, str], other: dict[str, str]) -> str:
    return min(path for path in one.keys() | other.keys() if one.get(path) != other.get(path))
