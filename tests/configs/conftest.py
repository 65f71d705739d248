from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fewlabel.data.phantoms.cohort import write_phantom
from helpers.bundle_runs import Trained, places, run, tiny, tree, undisturbed, working_in
from helpers.bundles import FORMS, phantom_of


@pytest.fixture(autouse=True)
def _undisturbed() -> Iterator[None]:
    with undisturbed():
        yield


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Six synthetic cases of a kind: four for training, one for validation, one for the test. Read only."""
    folder = tmp_path_factory.mktemp("phantoms")
    return lambda kind: write_phantom(folder / kind, kind, cases=6)


@pytest.fixture
def phantom(request: pytest.FixtureRequest, phantoms: Callable[[str], Path]) -> Path:
    """The phantom that the bundle under test is for."""
    for name, kind in (("trained", lambda found: phantom_of(found.bundle)), ("bundle", phantom_of)):
        if name in request.fixturenames:
            return phantoms(kind(request.getfixturevalue(name)))
    return phantoms("cardiac")


@pytest.fixture(scope="session")
def train_once(phantoms: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Trained]:
    """Train a bundle for two epochs of eight steps on two labeled scans and two unlabeled ones, once."""

    @functools.cache
    def train(bundle: str) -> Trained:
        folder, elsewhere = tmp_path_factory.mktemp(bundle), tmp_path_factory.mktemp("elsewhere")
        phantom = phantoms(phantom_of(bundle))
        before = tree(phantom)
        with working_in(elsewhere):
            workflow = run(
                bundle, "train",
                dataset_dir=str(phantom), labeled_cases=2,
                **places(folder), **tiny(bundle, steps=16, steps_per_epoch=8),
            )  # fmt: skip
        strays = [*tree(elsewhere), *(name for name, time in tree(phantom).items() if before.get(name) != time)]
        return Trained(bundle, folder, workflow, strays)

    return train


@pytest.fixture(params=FORMS)
def trained(request: pytest.FixtureRequest, train_once: Callable[[str], Trained]) -> Trained:
    """A bundle after a short training: one of each form."""
    return train_once(request.param)
