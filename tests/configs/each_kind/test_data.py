"""Which scans a bundle trains on, the same in all bundles."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.bundle_runs import block, places, workflow
from helpers.bundles import BASELINES

BUNDLE = BASELINES["slices"]


def test_without_a_dataset_the_phantom_is_drawn_and_the_demo_is_set_up(tmp_path: Path) -> None:
    # which settings apply is decided alike in all bundles, see test_shared_stanzas
    made = workflow(BUNDLE, "train", **places(tmp_path))
    made.initialize()
    parser = made.parser
    assert parser.get_parsed_content("settings") == block(parser, "demo")
    cohort = parser.get_parsed_content("cohort")
    assert cohort.demo_dir == (tmp_path / "eval" / "phantom").resolve()
    assert [len(part) for part in (cohort.labeled, cohort.cohort.unlabeled, cohort.validation)] == [3, 13, 4]


@pytest.mark.slow
@pytest.mark.parametrize(("cases", "slices"), [(1, 32), (3, 68), (7, 136)])
def test_the_first_patients_of_acdc_have_the_published_number_of_slices(
    cases: int, slices: int, real_acdc: Path, tmp_path: Path
) -> None:
    made = workflow(BUNDLE, "train", dataset_dir=str(real_acdc), labeled_cases=cases, **places(tmp_path))
    made.initialize()
    assert len(made.parser.get_parsed_content("train#dataset")) == slices
    assert made.parser.get_parsed_content("settings") == block(made.parser, "paper")
