"""Cross pseudo supervision (CPS): two networks that started differently label images for each other."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from fewlabel.conventions.precision import in_float32
from fewlabel.losses import hard_labels, supervised_loss, without_ignored
from fewlabel.methods.base import Batch, Method, labeled_part, unlabeled_images
from fewlabel.networks import NetworkOutput, forward_features, forward_logits
from fewlabel.parsing import parse_arguments


class CrossPseudoSupervision(Method):
    r"""Supervision of two networks, and the cross-entropy of each against the classes of the other.

    .. math:: L_u = L_{ce}(p_1, \arg\max p_2) + L_{ce}(p_2, \arg\max p_1)

    X. Chen et al., "Semi-supervised semantic segmentation with cross pseudo supervision", CVPR 2021, eq. 2-3; on
    unlabeled images alone as SSL4MIS has it. Classes carry no gradient and are those of the same pass.

    Terms: ``supervised`` and ``cross``, each the sum over both networks; ``cross`` is 0 where no image takes part. With
    ``contrast`` also ``contrastive``.

    Args:
        network: maps images (B, C, *spatial) to logits (B, K, *spatial); used for inference.
        second_network: the other one, with initial weights of its own.
        teach_labeled: let the labeled images take part in ``cross``, as the paper has it.
        contrast: a contrast of both networks' features such as :class:`fewlabel.methods.CertaintyContrast`; the
            networks must have ``features`` and ``head`` then.
    """

    @parse_arguments
    def __init__(
        self,
        network: nn.Module,
        second_network: nn.Module,
        teach_labeled: bool = False,
        contrast: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.second_network = second_network
        self.teach_labeled = teach_labeled
        self.contrast = contrast
        self._supervised = supervised_loss()

    def forward(self, batch: Batch, progress: float = 0.0) -> dict[str, Tensor]:
        """Return the loss terms, see :meth:`Method.forward`."""
        labeled = labeled_part(batch)
        unlabeled = unlabeled_images(batch)
        label: Tensor = labeled["label"]
        first = self._predict(self.network, labeled["image"], unlabeled)
        second = self._predict(self.second_network, labeled["image"], unlabeled)
        supervised = self._supervised(first.labeled, label) + self._supervised(second.labeled, label)
        terms = {"supervised": supervised, "cross": self._cross(first, second, label)}
        if self.contrast is not None:
            terms["contrastive"] = self.contrast(first, second, label, progress)
        return terms

    def _predict(self, network: nn.Module, image: Tensor, unlabeled: Tensor | None) -> NetworkOutput:
        if self.contrast is None:
            return forward_logits(network, image, unlabeled)
        return forward_features(network, image, unlabeled, "joint")  # type: ignore[arg-type]

    def _cross(self, first: NetworkOutput, second: NetworkOutput, label: Tensor) -> Tensor:
        if self.teach_labeled:
            one, other = without_ignored(label, first.logits, second.logits)
        else:
            one, other = first.unlabeled, second.unlabeled
        if not one.numel():
            return first.logits.new_zeros(())
        return _cross_entropy(one, other) + _cross_entropy(other, one)


@in_float32
def _cross_entropy(taught: Tensor, teaching: Tensor) -> Tensor:
    """Cross-entropy of logits (B, K, *spatial) against the classes of others."""
    return F.cross_entropy(taught, hard_labels(teaching)[:, 0])
