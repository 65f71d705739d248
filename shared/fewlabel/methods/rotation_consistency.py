"""Rotation consistency: a network's segmentation turns with the image (what SSL4MIS calls deep co-training)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fewlabel.losses import consistency_distance, supervised_loss
from fewlabel.methods.base import Batch, Method, labeled_part, unlabeled_images
from fewlabel.networks import forward_logits


class RotationConsistency(Method):
    r"""Supervision of labeled images, and consistency of one network on unlabeled images and the same ones turned.

    .. math::
        L_u = \frac12 \mathrm{mean}\, \big(R p(x) - \bar p(R x)\big)^2 +
              \frac12 \mathrm{mean}\, \big(R \bar p(x) - p(R x)\big)^2

    with the probabilities p, :math:`\bar p` where no gradient is sent through them, and the turn R by 0, 90, 180 or 270
    degrees, drawn once for the step. Each view learns from the other one as it is; in value it is their mean squared
    distance.

    It is the consistency that SSL4MIS, and studies that compare with it, run under the name "deep co-training" (DCT).
    That of S. Qiao et al., "Deep co-training for semi-supervised image recognition", ECCV 2018, is another method: two
    networks, kept apart by adversarial examples.

    Terms: ``supervised`` and ``consistency``; the latter is 0 without unlabeled images.

    Args:
        network: maps images (B, C, *spatial) to logits (B, K, *spatial), also of images with the first two of the
            spatial sides exchanged, in whose plane they are turned; used for inference.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self._supervised = supervised_loss()

    def forward(self, batch: Batch, progress: float = 0.0) -> dict[str, Tensor]:
        """Return the loss terms, see :meth:`Method.forward`."""
        labeled = labeled_part(batch)
        unlabeled = unlabeled_images(batch)
        upright = forward_logits(self.network, labeled["image"], unlabeled)
        supervised = self._supervised(upright.labeled, labeled["label"])
        if unlabeled is None or len(unlabeled) == 0:
            return {"supervised": supervised, "consistency": supervised.new_zeros(())}
        turns = int(torch.randint(4, ()))  # on the CPU, from the run's random state
        turned = forward_logits(self.network, _turned(unlabeled.as_subclass(Tensor), turns), None).logits
        back = _turned(turned, -turns)
        return {"supervised": supervised, "consistency": _mutual_distance(upright.unlabeled, back)}


def _turned(maps: Tensor, turns: int) -> Tensor:
    """Turn maps (B, C, *spatial) by quarter turns in the plane of their first two spatial axes."""
    return maps.rot90(turns, (2, 3))


def _mutual_distance(first: Tensor, second: Tensor) -> Tensor:
    """Mean of the distances of each prediction to the other one, which gets no gradient."""
    one = consistency_distance(first, second.detach().softmax(dim=1))
    other = consistency_distance(second, first.detach().softmax(dim=1))
    return (one + other) / 2
