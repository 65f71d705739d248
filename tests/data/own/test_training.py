from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fewlabel.data.own.dataset import prepare_folders
from helpers.bundle_runs import places, run, tiny


@pytest.mark.slow
def test_a_bundle_for_slices_trains_with_pictures(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    for number in range(8):
        mask = np.zeros((70, 60), np.uint8)
        mask[20:40, 10 + number : 30] = 255
        Image.fromarray(mask // 2 + random.integers(0, 90, mask.shape, np.uint8)).save(
            tmp_path / "images" / f"{number}.png"
        )
        if number < 5:
            Image.fromarray(mask).save(tmp_path / "labels" / f"{number}.png")
    data = prepare_folders(tmp_path / "images", tmp_path / "labels", tmp_path / "data", mapping="0:0,255:1")
    run("cts", "train", dataset_dir=str(data), num_classes=2, **tiny("cts"), **places(tmp_path))
    assert "label 1" in (tmp_path / "eval" / "summary.txt").read_text()
