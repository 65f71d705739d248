"""Score each case that an evaluator segments, and keep its segmentation."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine, Events
from nibabel.affines import voxel_sizes
from numpy.typing import NDArray

from fewlabel.data.files.formats import split_ending
from fewlabel.handlers.counted import counted_voxels
from fewlabel.handlers.scan_grid import own_affine, own_header, write_nifti
from fewlabel.metrics import case_scores


class CaseScores:
    """Collect rows of scores under both protocols, and write each segmentation on its scan's own grid.

    Only one case is held in memory at a time.

    Args:
        checkpoint: name of the weights that are scored, a column of the rows.
        labels: class names by value.
        prediction_dir: folder of the segmentations, ``<volume>.nii.gz``.

    Attributes:
        rows: see :func:`fewlabel.reports.write_scores_csv`.
        files: of each volume, the paths of ``image``, ``label`` and ``prediction``.
        measurable: whether any reference held a class other than the background.
    """

    def __init__(self, checkpoint: str, labels: Mapping[int, str], prediction_dir: str | os.PathLike[str]) -> None:
        self.checkpoint = checkpoint
        self.labels = dict(labels)
        self.prediction_dir = Path(prediction_dir)
        self.rows: list[dict[str, Any]] = []
        self.files: dict[str, dict[str, Path]] = {}
        self.measurable = False

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator whose output holds one-hot ``pred`` and ``label`` (K, *spatial)."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Score the batch that was segmented last."""
        for case, item in zip(engine.state.output, engine.state.batch, strict=True):
            self._score(case, item)

    def _score(self, case: Mapping[str, Any], item: Mapping[str, Any]) -> None:
        image, label = item["image"], item["label"]
        prediction, reference = _classes(case["pred"]), _classes(case["label"])
        source = Path(str(image.meta["filename_or_obj"]))
        volume = str(item.get("volume", (split_ending(source.name) or (source.stem, ""))[0]))
        self.measurable |= bool(reference.any())
        affine = own_affine(image)
        # a voxel that nobody annotated is background in both; the segmentation that is kept has its class there
        scored = np.where(counted_voxels(case["label"])[0].cpu().numpy(), prediction, 0)
        for row in case_scores(scored, reference, self.labels, voxel_sizes(affine)):
            self.rows.append({"checkpoint": self.checkpoint, "case": item.get("case", volume), "volume": volume, **row})
        file = self.prediction_dir / f"{volume}.nii.gz"
        write_nifti(file, prediction, affine, own_header(image))
        reference_file = Path(str(label.meta["filename_or_obj"]))
        self.files[volume] = {"image": source, "label": reference_file, "prediction": file}


def _classes(one_hot: Any) -> NDArray[np.uint8]:
    array: NDArray[np.uint8] = one_hot.argmax(dim=0).cpu().numpy().astype(np.uint8)
    return array
