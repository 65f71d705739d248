from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from bundle_runs import BUNDLES, Trained, places, run, tiny, tree, undisturbed, working_in


@pytest.fixture(autouse=True)
def _undisturbed() -> Iterator[None]:
    with undisturbed():
        yield


@pytest.fixture(scope="session", params=BUNDLES)
def trained(request: pytest.FixtureRequest, phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Every bundle, trained for two epochs of eight steps on two labeled scans and two unlabeled ones."""
    bundle, folder = request.param, tmp_path_factory.mktemp(request.param)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    before = tree(phantom)
    with working_in(elsewhere):
        workflow = run(
            bundle,
            "train",
            dataset_dir=str(phantom),
            labeled_cases=2,
            **places(folder),
            **tiny(bundle, steps=16, steps_per_epoch=8),
        )
    strays = [*tree(elsewhere), *(name for name, time in tree(phantom).items() if before.get(name) != time)]
    return Trained(bundle, folder, workflow, strays)
