"""Query consistency (DK-UXNet): two views of one crop agree in segmentation and in query distribution."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from monai.losses import DiceCELoss
from torch import Tensor

from fewlabel.conventions.labels import IGNORED
from fewlabel.conventions.precision import in_float32
from fewlabel.losses import CountedLoss, nt_xent
from fewlabel.losses.similarity import check_temperature
from fewlabel.methods.base import Batch, Method, labeled_part, unlabeled_images
from fewlabel.parsing import parse_arguments


class QueryNetwork(Protocol):
    """A network that shows query distributions, such as :class:`fewlabel.networks.DKUXNet`."""

    def outputs(self, x: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Return logits, logarithms of the query distribution, and the latter of each layer."""


class QueryConsistency(Method):
    r"""Dual-contrastive loss on two views of each crop, and supervision of segmentation and query distribution.

    .. math::
        L = L_{sup} + \lambda (L_{segc} + L_{qdc})

    Wu et al., "Semi-supervised medical image segmentation via query distribution consistency", ISBI 2024, eq. 3-5. Both
    contrasts are NT-Xent (:func:`fewlabel.losses.nt_xent`) over the two views of all crops, labeled and unlabeled: of
    the class probabilities, and of the query distribution, each flattened to one vector per view. The views share their
    geometry: the strong one is a copy of the weak one whose intensities were changed, under the key ``strong``.

    Terms: ``supervised``, cross-entropy and Dice of the labeled crops; ``query_supervised``, cross-entropy of the query
    distribution there; ``query_layers``, the same of each k-means layer at its own stride, without which the
    embeddings that assign voxels to queries never learn; ``segmentation_contrast`` and ``query_contrast``.

    Where paper and released code disagree, and what neither says, is in the bundle's README. Voxels of labeled crops
    that nobody annotated are in the contrasts, which need no labels, and in nothing else.

    Args:
        network: see :class:`QueryNetwork`; the one that is used for inference.
        temperature: of both contrasts. Whole maps differ little in angle, so it must be small.
        negatives: False only draws the two views of a crop together: 1 - cos. The paper's contrast also drives the
            maps of different patients apart, however right both are.
        supervise_strong: supervise both views of labeled crops instead of the weak one alone.
        strong_key: key of the strong view.

    Raises:
        ValueError: the temperature is not positive.
    """

    @parse_arguments
    def __init__(
        self,
        network: QueryNetwork,
        temperature: float = 0.1,
        negatives: bool = True,
        supervise_strong: bool = True,
        strong_key: str = "strong",
    ) -> None:
        super().__init__()
        check_temperature(temperature)
        self.network = network
        self.temperature = temperature
        self.negatives = negatives
        self.supervise_strong = supervise_strong
        self.strong_key = strong_key
        self._loss = CountedLoss(DiceCELoss(to_onehot_y=True, softmax=True), per_image=True)

    def forward(self, batch: Batch, progress: float = 0.0) -> dict[str, Tensor]:
        """Return the loss terms, see :meth:`Method.forward`; each part of the batch has the strong view too."""
        labeled = labeled_part(batch)
        unlabeled = unlabeled_images(batch)
        label: Tensor = labeled["label"]
        weak: list[Tensor] = [labeled["image"]]
        strong = [self._strong(labeled, "labeled")]
        others = batch.get("unlabeled")
        if unlabeled is not None and others is not None:
            weak.append(unlabeled)
            strong.append(self._strong(others, "unlabeled"))
        logits, log_distribution, layers = self.network.outputs(torch.cat(weak + strong))
        logits = logits.float()
        crops = len(logits) // 2
        rows = list(range(len(label)))
        truth = label
        if self.supervise_strong:
            rows += range(crops, crops + len(label))
            truth = torch.cat([label, label])
        of_layers = [distribution_loss(layer[rows], truth) for layer in layers]
        return {
            "supervised": self._loss(logits[rows], truth),
            "query_supervised": distribution_loss(log_distribution[rows], truth),
            "query_layers": torch.stack(of_layers).mean(),
            "segmentation_contrast": self._contrast(logits.softmax(dim=1)),
            "query_contrast": self._contrast(log_distribution.float().exp()),
        }

    @in_float32
    def _contrast(self, maps: Tensor) -> Tensor:
        """Return the contrast of maps (2B, K, *spatial), weak views first."""
        weak, strong = maps.flatten(1).chunk(2)
        if self.negatives:
            return nt_xent(weak, strong, self.temperature)
        return 1 - F.cosine_similarity(weak, strong, dim=1).mean()

    def _strong(self, part: Mapping[str, Any], name: str) -> Tensor:
        image = part["image"]
        strong = part.get(self.strong_key)
        if not isinstance(strong, Tensor) or strong.shape != image.shape:
            found = f"got {tuple(strong.shape)}" if isinstance(strong, Tensor) else f"the batch has {sorted(part)}"
            raise ValueError(
                f'the {name} images need their strong views under "{self.strong_key}", of shape {tuple(image.shape)}, '
                f"but {found}: copy the image with CopyItemsd and change the copy's intensities"
            )
        return strong


@in_float32
def distribution_loss(log_distribution: Tensor, label: Tensor) -> Tensor:
    r"""Cross-entropy of a query distribution, at any stride, with the ground truth's.

    .. math:: L = -\frac1V \sum_v \sum_k q_{kv} \log Q_{kv}

    The ground-truth distribution q of a coarse voxel is the share of each class among the voxels it covers, so that no
    thin structure is lost. The mean over voxels, where the released code has the sum, whose size is about a million.

    Args:
        log_distribution: (B, K, *coarse), logarithms.
        label: classes (B, 1, *spatial), or :data:`fewlabel.conventions.labels.IGNORED`, which is left out.

    Raises:
        ValueError: the sides of the label are no multiples of the distribution's.
    """
    shape = log_distribution.shape
    same_axes = label.ndim == len(shape)
    if not same_axes or any(fine % coarse for fine, coarse in zip(label.shape[2:], shape[2:], strict=True)):
        raise ValueError(f"labels {tuple(label.shape)} do not divide into the voxels of {tuple(shape)}")
    counted = label[:, 0] != IGNORED
    target = F.one_hot(label[:, 0].long().clamp(min=0), shape[1]) * counted[..., None]
    target = target.movedim(-1, 1).to(log_distribution.dtype)
    if label.shape[2:] != shape[2:]:
        target = F.adaptive_avg_pool3d(target, (shape[2], shape[3], shape[4]))
    voxels = -(target * log_distribution).sum(dim=1).mean()
    return voxels / counted.to(voxels.dtype).mean().clamp(min=1 / counted.numel())
