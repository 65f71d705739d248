"""Where things are in the checkout, and what a process of its own needs to import from it."""

from __future__ import annotations

import os
from pathlib import Path

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
SHARED = ROOT / "shared"


def environment(**more: str) -> dict[str, str]:
    """This process's environment, in which the package and the helpers can be imported; one thread each."""
    paths = [str(SHARED), str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1", **more}
