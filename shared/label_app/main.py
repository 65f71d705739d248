"""A MONAI Label app that learns from the studies which nobody has labeled, and asks for the right one next."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from fastapi import HTTPException
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.exception import MONAILabelException
from monailabel.tasks.activelearning.first import First
from monailabel.tasks.activelearning.random import Random

import fewlabel
from fewlabel.errors import one_line, user_facing_cause
from lib.bundles import WEIGHTS, find_bundles, has_second_network
from lib.infer import BundleInfer
from lib.scoring import PredictedQuality, quality_key
from lib.strategy import LowestQuality
from lib.train import SemiSupervisedTraining

_log = logging.getLogger(__name__)


class FewlabelApp(MONAILabelApp):
    """Serves every bundle of a folder: inference, training, predicted quality, the study to label next."""

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        self.bundles = find_bundles(app_dir, conf)
        super().__init__(
            app_dir, studies, conf, "fewlabel", "Bundles that learn from labeled and unlabeled studies",
            version=fewlabel.__version__,
        )  # fmt: skip

    def init_infers(self) -> dict[str, BundleInfer]:
        """Return the bundles that have weights."""
        for name, path in self.bundles.items():
            if not (path / WEIGHTS).is_file():
                _log.warning("%s has no %s: train it, then it can segment", name, WEIGHTS)
        return {name: BundleInfer(path, self.conf) for name, path in self._with_weights().items()}

    def init_trainers(self) -> dict[str, SemiSupervisedTraining]:
        """Return the bundles that can be trained."""
        trainers = {name: SemiSupervisedTraining(path, self.conf) for name, path in self.bundles.items()}
        return {name: trainer for name, trainer in trainers.items() if trainer.is_valid()}

    def init_scoring_methods(self) -> dict[str, PredictedQuality]:
        """Return the methods of the bundles with two students; one alone has nobody to disagree with."""
        for name, path in self.bundles.items():
            if not has_second_network(path):
                _log.info("%s trains one network alone: no predicted quality, no study to prefer", name)
        return {
            quality_key(name): PredictedQuality(path) for name, path in self.bundles.items() if has_second_network(path)
        }

    def init_strategies(self) -> dict[str, Any]:
        """Return the ways to choose the next study."""
        qualities = [quality_key(name) for name, path in self.bundles.items() if has_second_network(path)]
        return {**{key: LowestQuality(key) for key in qualities}, "first": First(), "random": Random()}

    def info(self) -> dict[str, Any]:
        """Return what this server offers now."""
        self._welcome_trained()
        info: dict[str, Any] = super().info()
        return info

    def infer(self, request: Any, datastore: Any = None) -> Any:
        """Segment a study."""
        self._welcome_trained()
        name = request.get("model")
        if name in self.bundles and name not in self._infers:
            reason = (
                f"{name} has no {WEIGHTS} yet: train it (POST /train/{name}), or put weights into {self.bundles[name]}"
            )
            raise HTTPException(409, reason)
        image = request.get("image")
        if isinstance(image, str) and not (
            Path(image).exists() or (datastore or self.datastore()).get_image_uri(image)
        ):
            raise HTTPException(404, f"there is no study called {image!r}")
        return _told(super().infer, request, datastore)

    def train(self, request: Any) -> Any:
        """Train a bundle."""
        return _told(super().train, request)

    def scoring(self, request: Any, datastore: Any = None) -> Any:
        """Score the unlabeled studies."""
        return _told(super().scoring, request, datastore)

    def next_sample(self, request: Any) -> Any:
        """Choose the study to label next."""
        return _told(super().next_sample, request)

    def _with_weights(self) -> dict[str, Any]:
        return {name: path for name, path in self.bundles.items() if (path / WEIGHTS).is_file()}

    def _welcome_trained(self) -> None:
        """Let bundles segment that were trained for the first time since the server started."""
        for name, path in self._with_weights().items():
            if name not in self._infers:
                self._infers[name] = BundleInfer(path, self.conf)


def _told(task: Any, *arguments: Any) -> Any:
    """Run a task; tell the client what a user can mend, where MONAI Label answers "Internal Server Error"."""
    try:
        return task(*arguments)
    except MONAILabelException as error:
        raise HTTPException(400, error.msg) from error
    except (ValueError, OSError, RuntimeError) as error:
        cause = user_facing_cause(error)
        if not isinstance(cause, (ValueError, OSError)):
            raise
        raise HTTPException(400, one_line(cause)) from error
