"""Train a bundle on the datastore: its labeled studies, and the images of all the others."""

from __future__ import annotations

import copy
import logging
from pathlib import Path
from typing import Any

from monailabel.interfaces.exception import MONAILabelError, MONAILabelException
from monailabel.tasks.train.bundle import BundleTrainTask

from fewlabel.bundle import second_checkpoint
from fewlabel.finite import not_finite
from fewlabel.handlers.tensor_file import read_tensor_file
from fewlabel.listing import first_few
from lib.bundles import noted_settings, read_config

_log = logging.getLogger(__name__)
_SAVER = "fewlabel.handlers.ModelSaver"


class SemiSupervisedTraining(BundleTrainTask):
    """MONAI Label's task, which trains on labeled studies alone, with the rest of the datastore beside them.

    A study counts as labeled when it has a label of the tag "final". A training goes on from the bundle's weights, both
    students', with the settings they were trained with; a request may set any other number among them.
    """

    def __init__(self, path: Path, conf: dict[str, str]) -> None:
        super().__init__(str(path), conf, load_strict=True)
        self.path = path
        self.request: dict[str, Any] = {}
        self.unlabeled: list[str] = []

    def config(self) -> dict[str, Any]:
        """Return what a client may set, with the values used otherwise."""
        options: dict[str, Any] = super().config()
        options["model_filename"] = [name for name in options["model_filename"] if name == "model.pt"]
        return {**options, **self._numbers(self.settings())}

    def settings(self) -> dict[str, Any]:
        """Return the block of settings that the weights were trained with, the paper's if there are no weights yet."""
        train = read_config(self.path, "train")
        paper, demo = train["paper"], train["demo"]
        overlay = read_config(self.path, "small").items()
        small = {**paper, **{key.removeprefix("paper#"): value for key, value in overlay if key.startswith("paper#")}}
        noted = {key: value for key, value in noted_settings(self.path).items() if key in paper}
        for settings in (paper, small, demo):
            if all(settings[key] == value for key, value in noted.items()):
                return dict(settings)
        return {**paper, **noted}

    def __call__(self, request: dict[str, Any], datastore: Any) -> Any:
        """Train."""
        if not datastore.datalist():
            raise MONAILabelException(
                MONAILabelError.INVALID_INPUT,
                "no study has a final label yet, and training needs one at least: label a study and submit it",
            )
        # a copy: this task may be asked again while it trains, and the base class adds to the configuration it keeps
        task = copy.copy(self)
        task.bundle_config = self._load_bundle_config(self.bundle_path, self.bundle_config_path)
        task.request = request
        task.unlabeled = [datastore.get_image_uri(image) for image in sorted(datastore.get_unlabeled_images())]
        return super(SemiSupervisedTraining, task).__call__(request, datastore)

    def _load_checkpoint(self, model_pytorch: str, pretrained: bool, train_handlers: list[dict[str, Any]]) -> None:
        """Let both students go on from their weights."""
        if not pretrained:
            return
        second_network = next(
            (handler.get("second_network") for handler in train_handlers if handler.get("_target_") == _SAVER), None
        )
        students = {second_checkpoint(model_pytorch): second_network, model_pytorch: "@network"}
        for path, network in students.items():
            if network is not None and Path(path).is_file():
                fix = "train afresh, with the model's option pretrained switched off"
                if broken := not_finite(read_tensor_file(path, fix)):
                    message = f"{path}: {first_few(broken)} is not finite, so no training can go on from it; {fix}"
                    raise MONAILabelException(MONAILabelError.INVALID_INPUT, message)
                _log.info("going on from %s", path)
                loader = {"_target_": "CheckpointLoader", "load_path": path, "load_dict": {"model": f"${network}"}}
                train_handlers.insert(0, {**loader, "strict": True})

    def _update_overrides(self, overrides: dict[str, Any]) -> dict[str, Any]:
        settings = self._requested(self.settings())
        overrides["settings"] = settings
        train = read_config(self.path, "train")
        # what the weights were trained with beside the block: classes, intensities, the axis of slices
        overrides.update({key: value for key, value in noted_settings(self.path).items() if key in train})
        # without it the bundle would validate on its own data set, which is the synthetic one
        overrides.setdefault(self.const.key_validate_dataset_data(), [])
        labeled = len(overrides[self.const.key_train_dataset_data()])
        used = (
            settings.get("unlabeled_batch_size", 0) > 0
            and "unlabeled_dataset" in read_config(self.path, "train")["train"]
        )
        if used:
            overrides["train#unlabeled_dataset#data"] = [{"image": image} for image in self.unlabeled]
            _log.info("%s: %d labeled and %d unlabeled studies", self.path.name, labeled, len(self.unlabeled))
        else:
            _log.info("%s: %d labeled studies; this method has no use for unlabeled ones", self.path.name, labeled)
        return overrides

    def _requested(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Return the settings with the numbers that the request sets."""
        numbers = self._numbers(settings)
        for key in numbers.keys() & self.request.keys():
            value = self.request[key]
            if not _is_number(value):
                raise MONAILabelException(MONAILabelError.INVALID_INPUT, f"{key} must be a number, got {value!r}")
            numbers[key] = value
        return {**settings, **numbers}

    def _numbers(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Return what a request may set: not what the weights fix, and not the steps, for which clients have epochs."""
        fixed = {*read_config(self.path, "inference").get("trained", {}), "steps"}
        return {key: value for key, value in settings.items() if _is_number(value) and key not in fixed}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
