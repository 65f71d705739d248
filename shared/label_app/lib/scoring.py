"""Rank the studies that nobody has labeled by how well they may be segmented already."""

from __future__ import annotations

import hashlib
import logging
import math
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser
from monailabel.interfaces.tasks.scoring import ScoringMethod
from monailabel.utils.others.generic import name_to_device

from fewlabel.engines.label_maps import LabelMapper
from fewlabel.errors import one_line, user_facing_cause
from fewlabel.handlers import load_network
from lib.bundles import students

_log = logging.getLogger(__name__)


class PredictedQuality(ScoringMethod):
    """Score each unlabeled study by the agreement of the two students, see ``fewlabel.metrics.agreement``.

    The score is kept in the datastore's information on the image, under ``<bundle>_quality``: 1 where the students
    agree voxel for voxel, 0 where they agree on nothing or find nothing at all. A study that the present weights have
    scored is not scored again. One that fails is named, and the others go on.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(f"Predicted quality: how far the two students of {path.name} agree on a study")
        self.path = path
        self.key = quality_key(path.name)

    def __call__(self, request: dict[str, Any], datastore: Any) -> dict[str, Any]:
        """Score, and return how many studies were scored, skipped, and which failed and why."""
        images = sorted(datastore.get_unlabeled_images())
        summary: dict[str, Any] = {"total": len(images), "scored": 0, "skipped": 0, "failed": {}}
        missing = [name for name in students(self.path) if not (self.path / name).is_file()]
        if missing:
            summary["reason"] = f"{self.path.name} has no {' and no '.join(missing)}: train it first, here or elsewhere"
            _log.warning("nothing was scored: %s", summary["reason"])
            return summary
        stamp = self._stamp()
        todo = [image for image in images if datastore.get_image_info(image).get(f"{self.key}_weights") != stamp]
        summary["skipped"] = len(images) - len(todo)
        if not todo:
            return summary
        preprocess, mapper = self._load(name_to_device(request.get("device", "cuda")))
        for image in todo:
            try:
                found = mapper(preprocess({"image": datastore.get_image_uri(image)}))
            except Exception as error:  # whatever it is, it is this study's; the others go on
                _log.exception("%s: study %s could not be scored", self.path.name, image)
                summary["failed"][image] = one_line(user_facing_cause(error))
                continue
            # nothing found in a study that was taken for its organ: as doubtful as can be
            quality = 0.0 if found.quality is None or math.isnan(found.quality) else found.quality
            _log.info("%s: study %s has predicted quality %.3f", self.path.name, image, quality)
            datastore.update_image_info(image, {self.key: quality, f"{self.key}_weights": stamp})
            summary["scored"] += 1
        return summary

    def _stamp(self) -> str:
        # of the content: files from a zip are all of 1980
        content = b"".join((self.path / name).read_bytes() for name in students(self.path))
        return hashlib.sha256(content).hexdigest()

    def _load(self, device: str) -> tuple[Any, LabelMapper]:
        parser = ConfigParser()
        parser.read_config(str(self.path / "configs" / "inference.json"))
        parser["bundle_root"], parser["device"], parser["uncertainty"] = str(self.path), device, True
        parser["dataset"]["data"] = []  # studies come one by one
        parser["amp"] = "off"  # MONAI Label segments in float32, and a score is of its segmentations
        load_network(parser.get_parsed_content("network"), parser.get_parsed_content("checkpoint"))
        evaluator, preprocessing, postprocessing, second_network = (
            parser.get_parsed_content(key) for key in ("evaluator", "preprocessing", "postprocessing", "second_network")
        )
        return preprocessing, LabelMapper(evaluator, postprocessing, second_network)


def quality_key(bundle: str) -> str:
    """Return the name of a bundle's predicted quality, in the datastore and in the addresses of the server."""
    return f"{bundle}_quality"
