"""Segment a study with a bundle, always with the network that its weights belong to."""

from __future__ import annotations

import copy
import logging
import os
from pathlib import Path
from typing import Any

from monailabel.tasks.infer.bundle import BundleInferTask

from fewlabel.handlers import load_network
from lib.bundles import WEIGHTS, noted_settings

_log = logging.getLogger(__name__)


class BundleInfer(BundleInferTask):
    """MONAI Label's task with three differences.

    Weights that do not fit the network are refused, where MONAI Label would segment with what happens to be in it. When
    a training run replaces the weights by ones that were trained with other settings, the network is built anew. And
    networks of some bundles see slices, but results are volumes: clients are told so.
    """

    def __init__(self, path: Path, conf: dict[str, str]) -> None:
        self._noted = noted_settings(path)
        super().__init__(str(path), conf, load_strict=True)
        if self.valid:
            self.dimension = 3
            # a client's first choice, and the only one: the other files are the last epoch's and the second student's
            self._config["model_filename"] = [Path(WEIGHTS).name]
            self._check_labels(self._noted.get("num_classes"))

    def __call__(self, request: Any, callbacks: Any = None) -> Any:
        """Segment one study."""
        noted = noted_settings(Path(self.bundle_path))
        if noted != self._noted:
            _log.info("%s: weights of other settings, %s; the network is built anew", self.bundle_path, noted)
            self.bundle_config = self._load_bundle_config(self.bundle_path, self.bundle_config_path)
            self.network = self.bundle_config.get_parsed_content(self.const.key_network_def(), instantiate=True)
            self.clear_cache()
            self._noted = noted
        return super().__call__(request, callbacks)

    def _get_network(self, device: str, data: Any) -> Any:
        path = self.get_path()
        stat = os.stat(path)
        stamp = (stat.st_mtime_ns, stat.st_ctime_ns)  # files from a zip are all of 1980
        cached = self._networks.get(device)
        if cached is None or cached[1] != stamp:
            network = load_network(copy.deepcopy(self.network), path)
            self._networks[device] = (network.to(device).eval(), stamp)
        return self._networks[device][0]

    def _check_labels(self, classes: int | None) -> None:
        last = max(self.labels.values(), default=0)
        if classes is not None and last != classes - 1:
            _log.warning(
                "%s: the weights tell %d classes apart, but clients will see the labels %s; name yours in "
                "configs/metadata.json, network_data_format, outputs, pred, channel_def",
                self.bundle_path, classes, self.labels,
            )  # fmt: skip
