"""Patches of volumes whose sides or voxels differ in the plane."""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from helpers.bundle_runs import places, tiny, workflow
from helpers.bundles import BASELINES

BUNDLE = BASELINES["volumes"]


@pytest.mark.parametrize(
    "changes", [{"size": [48, 32, 16]}, {"spacing": [4.4, 8.8, 4.4]}], ids=["unequal sides", "unequal spacings"]
)
def test_such_patches_make_batches_and_the_log_says_once_how_they_are_turned(
    changes: dict[str, Any], phantoms: Callable[[str], Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = tiny(BUNDLE, labeled_batch_size=4, steps=6, steps_per_epoch=6, **changes)
    made = workflow(BUNDLE, "train", dataset_dir=str(phantoms("atrium")), **places(tmp_path), **settings).parser
    with caplog.at_level(logging.INFO):
        batches = list(islice(made.get_parsed_content("train#dataloader"), 6))
        made.get_parsed_content("train#unlabeled_dataset")

    size = tuple(changes.get("size", [32, 32, 16]))
    assert [tuple(batch["labeled"]["image"].shape) for batch in batches] == [(4, 1, *size)] * 6
    assert sum("180 degrees alone" in record.getMessage() for record in caplog.records) == 1
