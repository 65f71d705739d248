"""Turn a loaded case into a label map, holding no more than it must."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor, decollate_batch
from monai.engines import SupervisedEvaluator
from monai.transforms import AsDiscreted, Compose
from numpy.typing import NDArray
from torch import nn

from fewlabel.conventions.precision import as_evaluated
from fewlabel.inferers import ResizedSliceInferer
from fewlabel.metrics import agreement, disagreement


@dataclass(frozen=True)
class LabelMap:
    """What was found in a case.

    Args:
        labels: (X, Y, Z), the smallest unsigned integers that hold all classes.
        disagreement: (X, Y, Z) in [0, 1], float32; None without a second network.
        quality: predicted quality, see :func:`fewlabel.metrics.agreement`; None without a second network.
    """

    labels: NDArray[Any]
    disagreement: NDArray[np.float32] | None = None
    quality: float | None = None


class LabelMapper:
    """Segment a case as an evaluator does, voxel for voxel, without ever holding the logits of a whole volume.

    That takes an inferer that works on slices, and postprocessing that begins with the argmax over classes; whatever
    comes behind it is applied to the label map. With any other inferer or postprocessing the case goes through both as
    they are, whole.

    Args:
        evaluator: its network, inferer, device, mode and mixed precision are used.
        postprocessing: the evaluator's, which it keeps to itself; from logits to a label map.
        second_network: a second network, whose disagreement with the first is told.
    """

    def __init__(
        self, evaluator: SupervisedEvaluator, postprocessing: Any, second_network: nn.Module | None = None
    ) -> None:
        self.network = evaluator.network
        self.inferer = evaluator.inferer
        self.device = evaluator.state.device
        self.mode = evaluator.mode
        self.amp = evaluator.amp
        self.steps = _steps(postprocessing)
        self.second_network = second_network
        self.networks = [self.network] if second_network is None else [self.network, second_network]
        self.runs = [as_evaluated(evaluator, network) for network in self.networks]

    def __call__(self, case: Mapping[str, Any]) -> LabelMap:
        """Return the label map of a case whose ``image`` is (C, X, Y, Z).

        Raises:
            ValueError: the postprocessing does not give a label map.
        """
        with self.mode(*self.networks):
            if isinstance(self.inferer, ResizedSliceInferer) and self.steps and _is_argmax(self.steps[0]):
                return self._slice_by_slice(self.inferer, case)
            return self._whole(case)

    def _slice_by_slice(self, inferer: ResizedSliceInferer, case: Mapping[str, Any]) -> LabelMap:
        image = case["image"]
        passes = [inferer.batches(image[None], run, device=self.device) for run in self.runs]
        maps: list[torch.Tensor] = []
        doubt: torch.Tensor | None = None
        classes = 0
        for parts in zip(*passes, strict=True):
            positions, logits = parts[0][0], [part[1] for part in parts]
            if not maps:
                classes, grid = logits[0].shape[1], logits[0].shape[2:]
                count = image[0].numel() // grid.numel()
                maps = [torch.empty((count, 1, *grid), dtype=_smallest(classes)) for _ in logits]
                doubt = torch.empty((count, 1, *grid)) if len(logits) > 1 else None
            for found, one in zip(maps, logits, strict=True):
                found[positions] = one.argmax(dim=1, keepdim=True).to(found.dtype)
            if doubt is not None:
                doubt[positions] = disagreement(*logits).cpu()
        labels = MetaTensor(inferer.assemble(maps[0], image[None])[0]).copy_meta_from(image)
        for step in self.steps[1:]:
            labels = step({**case, "pred": labels})["pred"]
        if doubt is None:
            return LabelMap(_label_array(labels, classes))
        found_doubt = inferer.assemble(doubt, image[None])[0, 0].numpy()
        return LabelMap(_label_array(labels, classes), found_doubt, agreement(maps[0], maps[1], classes))

    def _whole(self, case: Mapping[str, Any]) -> LabelMap:
        inputs = case["image"][None].to(self.device)
        logits = self.inferer(inputs, self.runs[0])
        doubt = None
        if self.second_network is not None:
            others = self.inferer(inputs, self.runs[1])
            doubt = torch.as_tensor(disagreement(logits, others)[0, 0]).float().cpu().numpy()
            quality = agreement(logits.argmax(dim=1), others.argmax(dim=1), logits.shape[1])
        whole = {**case, "pred": decollate_batch(logits)[0]}
        for step in self.steps:
            whole = step(whole)
        labels = _label_array(whole["pred"], logits.shape[1])
        return LabelMap(labels) if doubt is None else LabelMap(labels, doubt, quality)


def _steps(postprocessing: Any) -> list[Any]:
    if isinstance(postprocessing, Compose):
        return list(postprocessing.transforms)
    return [] if postprocessing is None else [postprocessing]


def _is_argmax(step: Any) -> bool:
    """Whether a step is the argmax over classes and nothing more."""
    if type(step) is not AsDiscreted or tuple(step.keys) != ("pred",):
        return False
    others = (*step.to_onehot, *step.threshold, *step.rounding, *step.converter.kwargs)
    return bool(tuple(step.argmax) == (True,) and all(value is None for value in others))


def _smallest(classes: int) -> torch.dtype:
    return torch.uint8 if classes <= 256 else torch.int32


def _label_array(labels: Any, classes: int) -> NDArray[Any]:
    if labels.ndim != 4 or labels.shape[0] != 1:
        raise ValueError(
            f"expected postprocessing to give a label map (1, X, Y, Z), got {tuple(labels.shape)}; add "
            '{"_target_": "AsDiscreted", "keys": "pred", "argmax": true} to it'
        )
    array: NDArray[Any] = torch.as_tensor(labels)[0].cpu().numpy()
    return array.astype(np.uint8 if classes <= 256 else np.uint16, copy=False)
